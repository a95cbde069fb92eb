"""What an implementation decides, as short words for tables: about a well-known, SRV records, or a whole report."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from exporter.judging.peers.peer import Peer
from exporter.model.enums import Means, Oddity, SrvService
from exporter.model.findings import (
    Delegation,
    HttpShape,
    LeafKey,
    SrvRecords,
    TlsSession,
    WellKnownResponse,
)
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Passed, Problem, ResponseSummary, WeakKey, found
from exporter.model.reasons import Reason
from exporter.model.report import Answers, EndpointDeepLook, EndpointReport, LocatedProblem, Report, SecondLook
from tests.sample_reports import MATRIX_443, healthy_at, tls_session, with_endpoints, with_keys

ENDS, FALLS_BACK = "ends", "falls back"
LEADS: Final = WellKnownResponse(
    200, 30, None, shape=HttpShape(5, 100), is_object=True, m_server="hs.test:1", m_server_in_any_case="hs.test:1"
)
"""A response that leads every implementation to hs.test:1."""
SRV_FAILURE: Final = Problem(Reason.DNS_FAILURE, "SERVFAIL")
HEALTHY: Final = healthy_at("192.0.2.1")


def discovery(peer: Peer, response: WellKnownResponse) -> str:
    """Return where a well-known leads."""
    delegated = peer.delegated_server(Passed(0.1, Delegation(3600, response=response)))
    match delegated:
        case ServerName(text=text):
            return text
        case LocatedProblem():
            return ENDS
        case None:
            return FALLS_BACK


def with_m_server(text: str | None) -> WellKnownResponse:
    return replace(LEADS, m_server=text, m_server_in_any_case=text)


def with_oddity(oddity: Oddity) -> WellKnownResponse:
    return replace(LEADS, oddities=frozenset({oddity}))


def srv_targets(peer: Peer, records: SrvRecords) -> list[str] | str:
    """Return the targets that SRV records lead to, in order; `FALLS_BACK` where there are none."""
    usable = peer.usable_srv(records)
    if isinstance(usable, LocatedProblem):
        return ENDS
    assert usable is not None
    if usable.decided_by is None:
        return FALLS_BACK
    return [str(record.target) for record in usable.records[usable.decided_by]]


SRV_FAILED: Final = SrvRecords({}, SrvService.MATRIX_FED, {SrvService.MATRIX_FED: SRV_FAILURE})


def stopped_by(peer: Peer, report: Report) -> Reason | None:
    """Return why it does not get through, None if it does."""
    verdict = peer.verdict(report)
    assert verdict.federates == (verdict.problem is None)
    return verdict.problem.problem.reason if verdict.problem else None


# ---------------------------------------------------------------- reports of one endpoint


def with_tls(tls_version: str = "TLSv1.3", cipher: str = "TLS_AES_256_GCM_SHA384", curve: str = "secp256r1") -> Report:
    session = tls_session(MATRIX_443.host, tls_version=tls_version)
    return with_endpoints(
        replace(HEALTHY, tls=Passed(0.1, replace(session, cipher=cipher, leaf_key=LeafKey("EC", 256, curve))))
    )


def with_leaf_key(kind: str) -> Report:
    session = replace(tls_session(MATRIX_443.host), leaf_key=LeafKey(kind, 2048))
    return with_endpoints(replace(HEALTHY, tls=Passed(0.1, session)))


def with_rsa_key(bits: int) -> Report:
    """Return a report whose second look got the keys past a leaf with a small RSA key."""
    problem = WeakKey(Reason.CERTIFICATE_INVALID, "too small", "RSA", bits)
    tls = Failed(0.1, (problem,), found(HEALTHY.tls))
    first = EndpointReport(HEALTHY.endpoint, HEALTHY.tcp, tls)
    return with_second_look(Means.UNVERIFIED, replace(HEALTHY.answers, tls=tls), first)


def with_second_look(means: Means, answers: Answers = HEALTHY.answers, first: EndpointReport | None = None) -> Report:
    """Return a report whose first look ended in TLS, and whose second one got further."""
    refused: Failed[TlsSession] = Failed(0.1, (Problem(Reason.TLS_HANDSHAKE, "handshake failure"),))
    first = first or EndpointReport(HEALTHY.endpoint, HEALTHY.tcp, refused)
    return with_endpoints(replace(first, deep=EndpointDeepLook(second=SecondLook(means, answers))))


def with_key_oddities(oddities: Collection[Oddity], *problems: Problem) -> Report:
    published = found(HEALTHY.keys)
    assert published is not None
    keys = replace(published, oddities=frozenset(oddities))
    if problems:
        return with_endpoints(replace(HEALTHY, keys=Failed(0.1, problems, keys)))
    return with_endpoints(with_keys(HEALTHY, keys))


def with_headers(lines: int, longest_line: int, http_version: str = "1.1") -> Report:
    return with_endpoints(replace(HEALTHY, keys_shape=HttpShape(lines, longest_line, http_version)))


def with_directory(status: int, errcode: str | None) -> Report:
    return with_endpoints(replace(HEALTHY, deep=EndpointDeepLook(directory=ResponseSummary(status, errcode))))


HTTP2_BROKEN: Final = with_endpoints(replace(HEALTHY, deep=EndpointDeepLook(http2_broken=True)))
