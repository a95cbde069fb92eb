"""The certificates and the signing keys of a report: each once, with all endpoints that present it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from exporter.model.findings import SigningKeys, TlsSession
from exporter.model.outcomes import Passed, found
from exporter.model.report import Report


@dataclass(frozen=True, slots=True)
class CertificateView:
    """A TLS session, and where it was seen."""

    of: str
    """What the connection is for."""
    addresses: tuple[str, ...]
    """Those of the endpoints. Empty for the connection to the server name itself."""
    session: TlsSession
    age: float
    """How much of its validity has passed, in percent from 0 to 100."""


@dataclass(frozen=True, slots=True)
class KeysView:
    """The signing keys that some endpoints publish."""

    addresses: tuple[str, ...]
    published: SigningKeys
    valid: bool
    """Whether the endpoints passed the stage `keys`."""


def certificate_views(report: Report, now: datetime) -> list[CertificateView]:
    """Return the certificate of the server name's web server, and those of the endpoints."""
    delegation = found(report.well_known)
    of_well_known = delegation.tls_session if delegation else None
    views = [_certificate_view("well-known", (), of_well_known, now)] if of_well_known else []
    by_session: dict[tuple[object, ...], list[tuple[str, TlsSession]]] = {}
    for seen in report.endpoints:
        if session := found(seen.tls):
            key = session.certificate.fingerprint_sha256, session.tls_version, session.cipher, session.presented
            by_session.setdefault(key, []).append((seen.endpoint.address, session))
    return views + [
        _certificate_view("federation", tuple(address for address, _ in alike), alike[0][1], now)
        for alike in by_session.values()
    ]


def _certificate_view(of: str, addresses: tuple[str, ...], session: TlsSession, now: datetime) -> CertificateView:
    certificate = session.certificate
    validity = (certificate.not_after - certificate.not_before).total_seconds()
    passed = (now - certificate.not_before).total_seconds()
    return CertificateView(
        of, addresses, session, min(100.0, max(0.0, 100 * passed / validity)) if validity > 0 else 100.0
    )


def keys_views(report: Report) -> list[KeysView]:
    """Return the keys, with the addresses of the endpoints that publish them."""
    alike: dict[tuple[object, ...], list[str]] = {}
    views: dict[tuple[object, ...], tuple[SigningKeys, bool]] = {}
    for seen in report.endpoints:
        if keys := found(seen.keys):
            valid = isinstance(seen.keys, Passed)
            key = tuple(keys.keys.items()), keys.valid_until, valid
            alike.setdefault(key, []).append(seen.endpoint.address)
            views[key] = keys, valid
    return [KeysView(tuple(alike[key]), keys, valid) for key, (keys, valid) in views.items()]
