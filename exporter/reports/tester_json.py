"""The report in the shape of the public federation tester's JSON (matrix-org/matrix-federation-tester). Pure.

Field by field, null and missing as there, so that what reads the one reads the other. Two things differ on purpose:
`FederationOK` is our verdict, for which one healthy endpoint is enough, as it is for peers; and over a connection whose
certificate is bad no keys are asked for, so that all checks of the keys are false there.
"""

import base64
import json
from binascii import unhexlify
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeAlias

from exporter.judging import verdict
from exporter.model import names, routes
from exporter.model.findings import Resolution, SigningKeys, SrvRecord, TlsSession
from exporter.model.outcomes import Failed, Outcome, Passed, Problem, Skipped, found
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.probing.stages.keys import KEY_ID, decode_base64
from exporter.reports import phrases
from exporter.reports.tls_names import CIPHER_SUITES, TLS_VERSIONS

JsonObject: TypeAlias = dict[str, Any]
_PUBLIC_KEY_BYTES = 32  # of ed25519


# ---------------------------------------------------------------- the whole


def tester_json(report: Report) -> JsonObject:
    """Ready for `json.dumps`."""
    return {
        "WellKnownResult": _well_known(report),
        "DNSResult": _dns(report),
        "ConnectionReports": {
            seen.endpoint.address: _connection(seen) for seen in report.endpoints if _is_reported(seen)
        },
        "ConnectionErrors": {
            seen.endpoint.address: _message(_first_problem(seen)) for seen in report.endpoints if not _is_reported(seen)
        },
        "Version": _version(report),
        "FederationOK": verdict.federates(report),
    }


def error_report(error: str) -> JsonObject:
    """Where there is no report."""
    no_dns = {"SRVSkipped": False, "SRVCName": "", "SRVRecords": None, "SRVError": None, "Hosts": {}, "Addrs": None}
    return {
        "Error": error,
        "WellKnownResult": {"m.server": "", "CacheExpiresAt": 0},
        "DNSResult": no_dns,
        "ConnectionReports": {},
        "ConnectionErrors": {},
        "Version": {},
        "FederationOK": False,
    }


def _message(text: str) -> JsonObject:
    return {"Message": text}


def _problem_text(problem: Problem) -> str:
    return f"{problem.reason}: {problem.detail}"


# ---------------------------------------------------------------- discovery


def _well_known(report: Report) -> JsonObject:
    """`result` is there only where there is no delegation."""
    seen = found(report.well_known)
    if seen and seen.server:
        expires = report.ended_at + timedelta(seconds=seen.cache_seconds)
        return {"m.server": seen.server.text, "CacheExpiresAt": int(expires.timestamp())}
    return {"m.server": "", "result": _why_no_delegation(report), "CacheExpiresAt": 0}


def _why_no_delegation(report: Report) -> str:
    match report.well_known:
        case Failed(problems=(first, *_)):
            return _problem_text(first)
        case Passed(found=answer) if answer.absent_because:
            return phrases.ABSENT[answer.absent_because]
        case _:
            return f"not asked for: the server name gives {phrases.what_decides(report.server_name)}"


def _dns(report: Report) -> JsonObject:
    hosts = dict.fromkeys(target.host for target in report.route.targets)
    return {
        "SRVSkipped": isinstance(report.srv, Skipped),
        **_srv(report),
        "Hosts": {_dotted(host, report): _host_result(host, report) for host in hosts},
        "Addrs": [seen.endpoint.address for seen in report.endpoints] or None,
    }


def _srv(report: Report) -> JsonObject:
    """Of the service that decided: _matrix-fed._tcp too, unlike the public tester."""
    seen = found(report.srv)
    service = seen.decided_by if seen else None
    records = seen.records.get(service, ()) if seen and service else ()
    asked = phrases.delegated_server(report) or report.server_name
    return {
        "SRVCName": f"_{service}._tcp.{asked.host}." if records else "",
        "SRVRecords": [_srv_record(record) for record in records] or None,
        "SRVError": _message(_problem_text(report.srv.problems[0])) if isinstance(report.srv, Failed) else None,
    }


def _srv_record(record: SrvRecord) -> JsonObject:
    return {
        "Target": f"{record.target.host}.",
        "Port": record.target.port,
        "Priority": record.priority,
        "Weight": record.weight,
    }


def _dotted(host: str, report: Report) -> str:
    """SRV targets end in a dot, other hosts do not."""
    return f"{host}." if report.route.method in routes.BY_SRV else host


def _host_result(host: str, report: Report) -> JsonObject:
    resolved = found(report.dns) or Resolution(())
    ips = dict.fromkeys(str(endpoint.ip) for endpoint in resolved.endpoints if endpoint.target.host == host)
    error = None if ips else _host_error(host, report.dns)
    return {
        "CName": "" if names.ip_literal(host) else f"{resolved.aliases.get(host, host)}.",
        "Addrs": list(ips) or None,
        "Error": _message(_problem_text(error)) if error else None,
    }


def _host_error(host: str, resolved: Outcome[Resolution]) -> Problem | None:
    """A problem of one target begins with its host, and there may be one of all of them."""
    known = found(resolved)
    unresolved = known.unresolved if known else ()
    own = (problem for problem in unresolved if problem.detail.startswith((f"{host} ", f"{host}:")))
    of_all = resolved.problems[0] if isinstance(resolved, Failed) else None
    return next(own, of_all)


# ---------------------------------------------------------------- endpoints


def _is_reported(seen: EndpointReport) -> bool:
    """The keys came, or at least a certificate that is to blame for that they did not."""
    return found(seen.keys) is not None or (isinstance(seen.tls, Failed) and seen.tls.found is not None)


def _first_problem(seen: EndpointReport) -> str:
    """Of what keeps the keys from being known: version is not in their way."""
    for stage, outcome in (("tcp", seen.tcp), ("tls", seen.tls), ("keys", seen.keys)):
        if isinstance(outcome, Failed):
            return f"{stage}: {_problem_text(outcome.problems[0])}"
    return "nothing was asked"


def _connection(seen: EndpointReport) -> JsonObject:
    secured, keys = found(seen.tls), found(seen.keys)
    assert secured is not None
    checks = _key_checks(seen, keys)
    keys_ok = checks["AllChecksOK"]
    valid = isinstance(seen.tls, Passed)
    return {
        "Certificates": list(_certificates(secured)),
        "Cipher": _cipher(secured),
        "Checks": {**checks, "AllChecksOK": keys_ok and valid, "ValidCertificates": valid},
        "Errors": [_message(_problem_text(problem)) for problem in seen.tls.problems]
        if isinstance(seen.tls, Failed)
        else [],
        "Ed25519VerifyKeys": dict(keys.keys) if keys and keys_ok else None,
        "Info": {},
        "Keys": json.loads(keys.document) if keys and keys.document else None,
    }


def _certificates(secured: TlsSession) -> Iterator[JsonObject]:
    """The chain as presented. Of those above the leaf, no names are kept: they hardly ever bear any."""
    leaf = secured.certificate
    dns_names = [name for name in leaf.names if names.ip_literal(name) is None]
    yield _certificate(leaf.subject, leaf.issuer, leaf.fingerprint_sha256, dns_names or None)
    for above in secured.issuers:
        yield _certificate(above.subject, above.issuer, above.fingerprint_sha256, None)


def _certificate(subject: str, issuer: str, fingerprint: str, dns_names: list[str] | None) -> JsonObject:
    return {
        "SubjectCommonName": subject,
        "IssuerCommonName": issuer,
        "SHA256Fingerprint": _unpadded(unhexlify(fingerprint)),
        "DNSNames": dns_names,
    }


def _unpadded(raw: bytes) -> str:
    """Unpadded base64 (Matrix specification, appendices)."""
    return base64.b64encode(raw).decode().rstrip("=")


def _cipher(secured: TlsSession) -> JsonObject:
    name = secured.cipher or ""
    return {
        "Version": TLS_VERSIONS.get(secured.tls_version, secured.tls_version),
        "CipherSuite": CIPHER_SUITES.get(name, name),
    }


# ---------------------------------------------------------------- keys


def _key_checks(seen: EndpointReport, keys: SigningKeys | None) -> JsonObject:
    """`AllEd25519ChecksOK` is null where there is no key to check."""
    reasons = {problem.reason for problem in seen.keys.problems} if isinstance(seen.keys, Failed) else set()
    checks = _ed25519_checks(keys) if keys else {}
    all_ok = Reason.SIGNATURE_INVALID not in reasons and all(check["MatchingSignature"] for check in checks.values())
    return {
        "AllChecksOK": isinstance(seen.keys, Passed),
        "MatchingServerName": keys is not None and Reason.SERVER_NAME_MISMATCH not in reasons,
        "FutureValidUntilTS": keys is not None and Reason.KEY_EXPIRED not in reasons,
        "HasEd25519Key": bool(checks),
        "AllEd25519ChecksOK": all_ok if checks else None,
        "Ed25519Checks": checks,
    }


def _ed25519_checks(keys: SigningKeys) -> dict[str, JsonObject]:
    """Those that stood up to all checks, and from the document those that did not."""
    document = json.loads(keys.document) if keys.document else {"verify_keys": {key_id: {} for key_id in keys.keys}}
    published = {key_id: entry for key_id, entry in document["verify_keys"].items() if KEY_ID.fullmatch(key_id)}
    return {
        key_id: {
            "ValidEd25519": key_id in keys.keys or _is_public_key(entry),
            "MatchingSignature": key_id in keys.keys,
        }
        for key_id, entry in published.items()
    }


def _is_public_key(entry: object) -> bool:
    text = entry.get("key") if isinstance(entry, dict) else None
    try:
        return isinstance(text, str) and len(decode_base64(text)) == _PUBLIC_KEY_BYTES
    except ValueError:
        return False


def _version(report: Report) -> JsonObject:
    """What is unknown is missing."""
    software = verdict.software(report)
    if software:
        return {key: text for key, text in (("name", software.name), ("version", software.version)) if text}
    failed = (seen.version for seen in report.endpoints if isinstance(seen.version, Failed))
    return {"error": next((_problem_text(outcome.problems[0]) for outcome in failed), "no endpoint could be asked")}
