"""Federations with which the exporter once disagreed with Synapse, each with the cause, as fuzzing found them."""

import dataclasses
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.agreement.served import engine, pki

_OTHER_KEY: Final = ed25519.Ed25519PrivateKey.generate()


@dataclass(frozen=True, slots=True)
class Found:
    cause: str
    set_up: Callable[[Any], None]


def _publish(answer: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Return a homeserver at 8448; `answer` to a request for keys is made anew for each."""
    return lambda f: f.at_8448(pages={engine.KEYS: lambda _request: answer(f)})


def _with_second_key(key: object) -> Callable[[Any], Any]:
    return lambda f: engine.Answer(
        200, f.key_document(verify_keys={f.key_id: {"key": engine.public(f.key)}, "ed25519:b_2": key})
    )


def _first_signature_wrong(f: Any) -> Any:
    both = {f.key_id: {"key": engine.public(f.key)}, "ed25519:b_2": {"key": engine.public(_OTHER_KEY)}}

    def sign(document: Any) -> Any:
        return {f.name: {"ed25519:b_2": "A" * 86, f.key_id: engine.signature(f.key, document)}}

    return engine.Answer(200, f.key_document(verify_keys=both, sign=sign))


def _old_key(expired: object) -> dict[str, Any]:
    return {"ed25519:old": {"key": engine.public(_OTHER_KEY), "expired_ts": expired}}


def _port_0_and_srv(f: Any) -> None:
    f.delegated(m_server=f"{f.hs}:0", port=9000)
    f.srv(f.hs, 9000, owner=f.hs)


FOUND: Final[Mapping[str, Found]] = {
    "second-key-short": Found(
        "Synapse decodes every ed25519 verify key, and one that is too short spoils the document",
        _publish(_with_second_key({"key": "AAAAAAA"})),
    ),
    "second-key-null": Found(
        "so does an entry that is not an object",
        _publish(_with_second_key(None)),
    ),
    "first-signature-wrong": Found(
        "Synapse checks the first signature by one of the keys, and no other",
        _publish(_first_signature_wrong),
    ),
    "gzip-told": Found(
        "Synapse never decompresses, so it does not mind a Content-Encoding that is not true",
        _publish(lambda f: engine.Answer(200, f.key_document(), (("Content-Encoding", "gzip"),))),
    ),
    "well-known-gzip-told": Found(
        "nor in the well-known",
        lambda f: f.delegated(
            well_known=engine.Answer(200, {"m.server": f"{f.hs}:443"}, (("Content-Encoding", "gzip"),))
        ),
    ),
    "content-type-twice": Found(
        "Synapse reads the first Content-Type",
        _publish(lambda f: engine.Answer(200, f.key_document(), (("Content-Type", "text/html"),))),
    ),
    "content-type-in-capitals": Found(
        "and minds its case",
        _publish(lambda f: engine.Answer(200, f.key_document(), content_type="Application/JSON")),
    ),
    "labelled-http-2": Found(
        "Synapse does not read the version in a status line",
        lambda f: f.at_8448(change=lambda answer: dataclasses.replace(answer, protocol="HTTP/2.0")),
    ),
    "well-known-labelled-http-2": Found(
        "nor in that of the well-known",
        lambda f: f.delegated(well_known=engine.Answer(200, {"m.server": f"{f.hs}:443"}, protocol="HTTP/2.0")),
    ),
    "m-server-not-ascii": Found(
        "Synapse falls back from an m.server that is not ASCII, as from no other text that is no server name",
        lambda f: f.well_known_and_8448(m_server=f"hä.{f.domain}"),
    ),
    "website-of-old-tls": Found(
        "Synapse needs TLS 1.2 for the well-known, too, and falls back",
        lambda f: f.well_known_and_8448(
            m_server=f"gone.{f.domain}:1",
            certificate=f.certificate(
                lowest=ssl.TLSVersion.TLSv1, highest=ssl.TLSVersion.TLSv1_1, ciphers="ALL:@SECLEVEL=0"
            ),
        ),
    ),
    "website-of-finite-fields": Found(
        "Synapse offers finite-field Diffie-Hellman for the well-known, too",
        lambda f: f.delegated(
            well_known_certificate=f.certificate(
                key=pki.rsa_key(), highest=ssl.TLSVersion.TLSv1_2, ciphers="DHE-RSA-AES128-GCM-SHA256"
            )
        ),
    ),
    "old-key-expired-in-fractions": Found(
        "Synapse stores any number for the time at which an old key expired",
        _publish(lambda f: engine.Answer(200, f.key_document(old_verify_keys=_old_key(1.5)))),
    ),
    "m-server-with-port-0": Found(
        "Synapse takes port 0 for none, so it goes to 8448",
        lambda f: f.delegated(m_server=f"{f.hs}:0", port=8448),
    ),
    "m-server-with-port-0-and-srv": Found(
        "or where SRV leads",
        _port_0_and_srv,
    ),
    "old-key-expired-null": Found(
        "but null is no number",
        _publish(lambda f: engine.Answer(200, f.key_document(old_verify_keys=_old_key(None)))),
    ),
}
