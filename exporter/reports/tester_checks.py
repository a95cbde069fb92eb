"""The checks of signing keys, as the public federation tester names and computes them. Pure."""

import json
from typing import Any, Final, TypeAlias

from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Failed, Outcome, found
from exporter.model.reasons import Reason
from exporter.model.signing_keys import ED25519_KEY_ID, decode_base64

_JsonObject: TypeAlias = dict[str, Any]
_PUBLIC_KEY_BYTES: Final = 32  # Ed25519


def key_checks(outcome: Outcome[SigningKeys]) -> _JsonObject:
    """Return the checks of a connection apart from `ValidCertificates`.

    Where the keys are unknown, every check fails. `AllEd25519ChecksOK` is null if there is no key to check.
    """
    reasons = {problem.reason for problem in outcome.problems} if isinstance(outcome, Failed) else set()
    keys = found(outcome)
    checks = _ed25519_checks(keys) if keys else {}
    name_ok = keys is not None and Reason.SERVER_NAME_MISMATCH not in reasons
    time_ok = keys is not None and Reason.KEY_EXPIRED not in reasons
    all_ok = Reason.SIGNATURE_INVALID not in reasons and all(check["MatchingSignature"] for check in checks.values())
    return {
        "AllChecksOK": name_ok and time_ok and bool(checks) and all_ok,
        "MatchingServerName": name_ok,
        "FutureValidUntilTS": time_ok,
        "HasEd25519Key": bool(checks),
        "AllEd25519ChecksOK": all_ok if checks else None,
        "Ed25519Checks": checks,
    }


def _ed25519_checks(keys: SigningKeys) -> dict[str, _JsonObject]:
    """Return the keys that passed all checks and, from the document, those that did not."""
    document = json.loads(keys.document) if keys.document else {"verify_keys": {key_id: {} for key_id in keys.keys}}
    published = {key_id: entry for key_id, entry in document["verify_keys"].items() if ED25519_KEY_ID.fullmatch(key_id)}
    return {
        key_id: {
            "ValidEd25519": key_id in keys.keys or _is_public_key(entry),
            "MatchingSignature": key_id in keys.keys,
        }
        for key_id, entry in sorted(published.items())
    }


def _is_public_key(entry: object) -> bool:
    text = entry.get("key") if isinstance(entry, dict) else None
    try:
        return isinstance(text, str) and len(decode_base64(text)) == _PUBLIC_KEY_BYTES
    except ValueError:
        return False
