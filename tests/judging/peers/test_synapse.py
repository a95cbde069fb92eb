"""Synapse: one line for each fact of `tests/agreement/kit/causes.md`."""

from dataclasses import replace

import pytest

from exporter.judging.peers.synapse import Synapse
from exporter.model.enums import Means, Oddity, SrvService
from exporter.model.findings import HttpShape, SrvRecords, WellKnownResponse
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.fake_world import srv_record
from tests.judging.peers.decisions import (
    ENDS,
    FALLS_BACK,
    HTTP2_BROKEN,
    LEADS,
    SRV_FAILED,
    discovery,
    srv_targets,
    stopped_by,
    with_headers,
    with_key_oddities,
    with_m_server,
    with_oddity,
    with_rsa_key,
    with_second_look,
    with_tls,
)

PEER = Synapse()
KIB = 1024


@pytest.mark.parametrize(
    ("response", "leads_to"),
    [
        (LEADS, "hs.test:1"),
        (with_m_server("https://hs.test"), ENDS),
        (with_m_server("hs.test:65536"), ENDS),
        (with_m_server("hs.test.:1"), ENDS),
        (with_m_server("HS.test:1"), "HS.test:1"),
        (with_m_server("hä.test:1"), FALLS_BACK),
        (with_m_server("hs.test:0"), "hs.test:0"),
        (with_m_server(""), FALLS_BACK),
        (with_m_server(None), FALLS_BACK),
        (replace(LEADS, m_server=None), FALLS_BACK),
        (with_oddity(Oddity.GZIPPED), FALLS_BACK),
        (with_oddity(Oddity.NOT_GZIPPED), "hs.test:1"),
        (with_oddity(Oddity.BYTE_ORDER_MARK), FALLS_BACK),
        (with_oddity(Oddity.TRAILING_DATA), FALLS_BACK),
        (with_oddity(Oddity.REPEATED_KEY), "hs.test:1"),
        (replace(LEADS, redirects=20), "hs.test:1"),
        (replace(LEADS, redirects=21), FALLS_BACK),
        (replace(LEADS, insecure=True), "hs.test:1"),
        (replace(LEADS, body_bytes=50 * KIB), "hs.test:1"),
        (replace(LEADS, body_bytes=50 * KIB + 1), FALLS_BACK),
        (replace(LEADS, shape=HttpShape(150, 100)), "hs.test:1"),
        (replace(LEADS, shape=HttpShape(5, 20_000)), FALLS_BACK),
        (replace(LEADS, status=404), FALLS_BACK),
    ],
)
def test_reads_a_well_known(response: WellKnownResponse, leads_to: str) -> None:
    """It falls back from what it cannot read, and not from a bad `m.server`."""
    assert discovery(PEER, response) == leads_to


def test_port_0_is_no_port() -> None:
    """It looks up SRV records, and goes to 8448."""
    delegated = PEER.parse_m_server("hs.test:0")
    assert isinstance(delegated, ServerName)
    assert delegated.port is None


FED, LEGACY = SrvService.MATRIX_FED, SrvService.MATRIX
TWO = (srv_record(10, 0, 1, "a.test"), srv_record(20, 0, 1, "192.0.2.1"))


@pytest.mark.parametrize(
    ("records", "targets"),
    [
        (SRV_FAILED, ENDS),
        (SrvRecords({FED: TWO}, FED, {LEGACY: Problem(Reason.DNS_FAILURE, "REFUSED")}), ["a.test:1", "192.0.2.1:1"]),
        (SrvRecords({}, FED, unavailable=frozenset({FED})), ENDS),
        (SrvRecords({FED: (), LEGACY: TWO[:1]}, LEGACY), ["a.test:1"]),
        (SrvRecords({FED: (), LEGACY: ()}, None), FALLS_BACK),
    ],
)
def test_chooses_srv_records(records: SrvRecords, targets: list[str] | str) -> None:
    """A failed lookup is final. A target may look like an IPv4 address."""
    assert srv_targets(PEER, records) == targets


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (with_tls("TLSv1.1"), Reason.TLS_HANDSHAKE),
        (with_tls("TLSv1.2", "ECDHE-RSA-AES128-SHA"), None),
        (with_tls("TLSv1.2", "ECDHE-RSA-AES128-SHA256"), None),
        (with_tls("TLSv1.2", "AES128-GCM-SHA256"), None),
        (with_tls(curve="secp521r1"), None),
        (with_second_look(Means.FINITE_FIELD), None),
        (with_second_look(Means.HOMESERVER_AGENT), None),
        (with_rsa_key(1024), Reason.CERTIFICATE_INVALID),
        (HTTP2_BROKEN, None),
        (with_headers(150, 16 * KIB), None),
        (with_headers(5, 20_000), Reason.TOO_LARGE),
        (with_headers(5, 100, "2.0"), None),
    ],
)
def test_connects(report: Report, reason: Reason | None) -> None:
    """It takes what OpenSSL takes by default, and header lines up to 16 KiB."""
    assert stopped_by(PEER, report) is reason


@pytest.mark.parametrize(
    ("oddity", "accepted"),
    [
        (Oddity.CONTENT_TYPE, False),
        (Oddity.REDIRECTED, False),
        (Oddity.GZIPPED, False),
        (Oddity.TRAILING_DATA, False),
        (Oddity.BYTE_ORDER_MARK, False),
        (Oddity.OLD_KEYS_NOT_AN_OBJECT, False),
        (Oddity.OLD_KEY_NOT_BASE64, False),
        (Oddity.OLD_KEYS_NULL, False),
        (Oddity.OLD_KEY_WITHOUT_EXPIRY, False),
        (Oddity.KEY_MALFORMED, False),
        (Oddity.FIRST_SIGNATURE_WRONG, False),
        (Oddity.NOT_GZIPPED, True),
        (Oddity.KEY_DID_NOT_SIGN, True),
        (Oddity.NOT_AN_INTEGER, True),
        (Oddity.PADDED_BASE64, True),
    ],
)
def test_reads_keys(oddity: Oddity, *, accepted: bool) -> None:
    """One bad old key spoils the whole document."""
    assert stopped_by(PEER, with_key_oddities([oddity])) is (None if accepted else Reason.INVALID_CONTENT)
