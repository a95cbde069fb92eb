"""Dendrite: one line for each fact of `tests/agreement/kit/causes.md`."""

from dataclasses import replace

import pytest

from exporter.judging.peers.dendrite import Dendrite
from exporter.model.enums import Means, Oddity, SrvService
from exporter.model.findings import HttpShape, SrvRecords, WellKnownResponse
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
    with_leaf_key,
    with_m_server,
    with_oddity,
    with_rsa_key,
    with_second_look,
    with_tls,
)

PEER = Dendrite()
KIB = 1024


@pytest.mark.parametrize(
    ("response", "leads_to"),
    [
        (LEADS, "hs.test:1"),
        (with_m_server("https://hs.test"), ENDS),
        (with_m_server("hs.test:65536"), ENDS),
        (with_m_server("hs.test.:1"), "hs.test.:1"),
        (with_m_server("hs_1.test"), ENDS),
        (with_m_server(""), FALLS_BACK),
        (with_m_server(None), FALLS_BACK),
        (replace(LEADS, m_server=None), "hs.test:1"),
        (with_oddity(Oddity.GZIPPED), "hs.test:1"),
        (with_oddity(Oddity.NOT_GZIPPED), FALLS_BACK),
        (with_oddity(Oddity.BYTE_ORDER_MARK), FALLS_BACK),
        (with_oddity(Oddity.TRAILING_DATA), FALLS_BACK),
        (with_oddity(Oddity.REPEATED_KEY), "hs.test:1"),
        (replace(LEADS, redirects=10), "hs.test:1"),
        (replace(LEADS, redirects=11), FALLS_BACK),
        (replace(LEADS, insecure=True), "hs.test:1"),
        (replace(LEADS, body_bytes=50 * KIB), "hs.test:1"),
        (replace(LEADS, body_bytes=50 * KIB + 1), FALLS_BACK),
        (replace(LEADS, shape=HttpShape(150, 20_000)), "hs.test:1"),
    ],
)
def test_reads_a_well_known(response: WellKnownResponse, leads_to: str) -> None:
    """Go's JSON ignores the case of keys, and Go asks for gzip by itself."""
    assert discovery(PEER, response) == leads_to


def test_a_final_dot_is_not_part_of_the_certificates_name() -> None:
    """It is sent in `Host`."""
    delegated = PEER.parse_m_server("hs.test.:1")
    assert getattr(delegated, "host", None) == "hs.test"


FED = SrvService.MATRIX_FED
NAMED, ADDRESS = srv_record(10, 0, 1, "a.test"), srv_record(20, 0, 1, "192.0.2.1")


@pytest.mark.parametrize(
    ("records", "targets"),
    [
        (SRV_FAILED, FALLS_BACK),
        (SrvRecords({}, FED, unavailable=frozenset({FED})), ENDS),
        (SrvRecords({FED: (NAMED, ADDRESS)}, FED), ["a.test:1"]),
        (SrvRecords({FED: (ADDRESS,)}, FED), ENDS),
    ],
)
def test_chooses_srv_records(records: SrvRecords, targets: list[str] | str) -> None:
    """It goes on to port 8448 after a failed lookup. Go's resolver drops targets that look like addresses."""
    assert srv_targets(PEER, records) == targets


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (with_tls("TLSv1.1"), Reason.TLS_HANDSHAKE),
        (with_tls("TLSv1.2", "ECDHE-RSA-AES128-SHA"), None),
        (with_tls("TLSv1.2", "ECDHE-RSA-AES128-SHA256"), Reason.TLS_HANDSHAKE),
        (with_tls("TLSv1.2", "AES128-GCM-SHA256"), Reason.TLS_HANDSHAKE),
        (with_tls(curve="secp521r1"), None),
        (with_second_look(Means.FINITE_FIELD), Reason.TLS_HANDSHAKE),
        (with_second_look(Means.HOMESERVER_AGENT), None),
        (with_rsa_key(1024), None),
        (with_rsa_key(1023), Reason.CERTIFICATE_INVALID),
        (with_leaf_key("RSA"), None),
        (with_leaf_key("RSA-PSS"), Reason.CERTIFICATE_INVALID),
        (with_leaf_key("Ed448"), Reason.CERTIFICATE_INVALID),
        (HTTP2_BROKEN, Reason.HTTP_PROTOCOL),
        (with_headers(150, 20_000), None),
    ],
)
def test_connects(report: Report, reason: Reason | None) -> None:
    """It takes what Go's TLS offers, which includes HTTP/2."""
    assert stopped_by(PEER, report) is reason


@pytest.mark.parametrize(
    ("oddity", "accepted"),
    [
        (Oddity.CONTENT_TYPE, True),
        (Oddity.REDIRECTED, True),
        (Oddity.GZIPPED, True),
        (Oddity.NOT_GZIPPED, False),
        (Oddity.TRAILING_DATA, True),
        (Oddity.BYTE_ORDER_MARK, False),
        (Oddity.OLD_KEYS_NOT_AN_OBJECT, False),
        (Oddity.OLD_KEY_NOT_BASE64, False),
        (Oddity.OLD_KEYS_NULL, True),
        (Oddity.OLD_KEY_WITHOUT_EXPIRY, True),
        (Oddity.KEY_DID_NOT_SIGN, False),
        (Oddity.NOT_AN_INTEGER, False),
        (Oddity.PADDED_BASE64, False),
    ],
)
def test_reads_keys(oddity: Oddity, *, accepted: bool) -> None:
    """Every key must have signed, and every number must be an integer."""
    assert stopped_by(PEER, with_key_oddities([oddity])) is (None if accepted else Reason.INVALID_CONTENT)
