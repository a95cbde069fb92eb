"""The Conduit family: one line for each fact of `tests/agreement/kit/causes.md`."""

from dataclasses import replace

import pytest

from exporter.judging.peers.conduit import Conduit
from exporter.model.enums import Means, Oddity, SrvService
from exporter.model.findings import HttpShape, SrvRecords, WellKnownResponse
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.fake_world import srv_record
from tests.judging.peers.decisions import (
    ENDS,
    FALLS_BACK,
    LEADS,
    SRV_FAILED,
    discovery,
    srv_targets,
    stopped_by,
    with_headers,
    with_leaf_key,
    with_m_server,
    with_oddity,
    with_second_look,
    with_tls,
)

PEER = Conduit()
KIB = 1024


@pytest.mark.parametrize(
    ("response", "leads_to"),
    [
        (LEADS, "hs.test:1"),
        (with_m_server("https://hs.test"), ENDS),
        (with_m_server("hs.test.:1"), "hs.test:1"),
        (with_m_server("HS.test:1"), ENDS),
        (with_m_server(""), ENDS),
        (with_m_server(None), FALLS_BACK),
        (replace(LEADS, m_server=None), FALLS_BACK),
        (with_oddity(Oddity.GZIPPED), FALLS_BACK),
        (with_oddity(Oddity.BYTE_ORDER_MARK), FALLS_BACK),
        (with_oddity(Oddity.TRAILING_DATA), FALLS_BACK),
        (with_oddity(Oddity.REPEATED_KEY), FALLS_BACK),
        (replace(LEADS, redirects=10), "hs.test:1"),
        (replace(LEADS, redirects=11), FALLS_BACK),
        (replace(LEADS, insecure=True), "hs.test:1"),
        (replace(LEADS, body_bytes=60 * KIB), "hs.test:1"),
        (replace(LEADS, shape=HttpShape(5, 20_000)), "hs.test:1"),
        (replace(LEADS, shape=HttpShape(150, 100)), FALLS_BACK),
        (replace(LEADS, shape=HttpShape(5, 100, "2.0")), FALLS_BACK),
    ],
)
def test_reads_a_well_known(response: WellKnownResponse, leads_to: str) -> None:
    """It reads large bodies, and takes an empty text for a host."""
    assert discovery(PEER, response) == leads_to


FED = SrvService.MATRIX_FED
TWO = (srv_record(10, 0, 1, "a.test"), srv_record(20, 0, 1, "b.test"))


@pytest.mark.parametrize(
    ("records", "targets"),
    [
        (SRV_FAILED, FALLS_BACK),
        (SrvRecords({}, FED, unavailable=frozenset({FED})), ENDS),
        (SrvRecords({FED: TWO}, FED), ["a.test:1"]),
    ],
)
def test_chooses_srv_records(records: SrvRecords, targets: list[str] | str) -> None:
    """It takes one record and ignores the others."""
    assert srv_targets(PEER, records) == targets


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (with_tls("TLSv1.1"), Reason.TLS_HANDSHAKE),
        (with_tls("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"), None),
        (with_tls("TLSv1.2", "ECDHE-RSA-AES128-SHA"), Reason.TLS_HANDSHAKE),
        (with_tls(curve="secp384r1"), None),
        (with_tls(curve="secp521r1"), Reason.CERTIFICATE_INVALID),
        (with_tls(curve="secp256k1"), Reason.CERTIFICATE_INVALID),
        (with_leaf_key("Ed25519"), None),
        (with_leaf_key("RSA-PSS"), Reason.CERTIFICATE_INVALID),
        (with_leaf_key("Ed448"), Reason.CERTIFICATE_INVALID),
        (with_second_look(Means.FINITE_FIELD), Reason.TLS_HANDSHAKE),
        (with_headers(100, 20_000), None),
        (with_headers(150, 100), Reason.TOO_LARGE),
        (with_headers(5, 100, "2.0"), Reason.HTTP_PROTOCOL),
    ],
)
def test_connects(report: Report, reason: Reason | None) -> None:
    """It takes what rustls offers, and up to 100 header lines."""
    assert stopped_by(PEER, report) is reason
