"""What a finished report means: pure functions that never touch the network."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Final

from exporter.judging import peers
from exporter.model.enums import CertificateOf, IPFamily, Resource, Stage
from exporter.model.findings import Certificate, SigningKeys, Software, TlsSession
from exporter.model.outcomes import Failed, NoRoute, Outcome, Passed, ProxyFailure, ResourceShortage, Skipped, found
from exporter.model.reasons import RAN_OUT_OF_TIME
from exporter.model.report import LocatedProblem, Report

_ORDER: Final = {stage: number for number, stage in enumerate(Stage)}
_MAX_STALLED_SHARE = 0.1  # of a probe: a timeout is believed if the exporter was listening for the rest of it


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """The verdict on one stage, over all endpoints and notaries that reached it."""

    ok: bool
    """Every one of them passed."""
    seconds: float
    """The duration of the slowest one."""


class Federation(StrEnum):
    """How far other homeservers get."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


def exporter_starved(report: Report) -> bool:
    """Whether the exporter lacked what a probe needs, so that the report says nothing about the server."""
    return missing_resource(report) is not None


def missing_resource(report: Report) -> Resource | None:
    """Return what the exporter lacked during the probe, if anything. There are two cases:

    - nothing was left of a resource that can be used up, such as file descriptors;
    - CPU time: a step timed out, and others than the probe stalled the event loop for more than a tenth of it.
    """
    shortages = (located.problem for located in problems(report) if isinstance(located.problem, ResourceShortage))
    if shortage := next(shortages, None):
        return shortage.resource
    stalled = report.stalled_seconds - report.cpu_seconds > _MAX_STALLED_SHARE * report.seconds
    return Resource.CPU_TIME if stalled and ran_out_of_time(report) else None


def exporter_lacks_route(report: Report) -> bool:
    """Whether the exporter's machine lacks the only IP family of a host, so that the report says nothing."""
    return any(isinstance(located.problem, NoRoute) for located in problems(report))


def proxy_failure(report: Report) -> ProxyFailure | None:
    """Return what is wrong with the exporter's own proxy, so that the report says nothing; None if nothing is."""
    endpoints = chain(report.endpoints, *(way.endpoints for way in report.detours.values()))
    outcomes: Iterable[Outcome[object]] = (report.well_known, *(endpoint.tunnel for endpoint in endpoints))
    failed = (problem for outcome in outcomes if isinstance(outcome, Failed) for problem in outcome.problems)
    return next((problem for problem in failed if isinstance(problem, ProxyFailure)), None)


def families_without_route(report: Report) -> set[IPFamily]:
    """Return the IP families with addresses of the server to which the exporter's machine has no route."""
    resolution = found(report.dns)
    return {endpoint.ip_family for endpoint in resolution.without_route} if resolution else set()


def ran_out_of_time(report: Report) -> bool:
    """Whether a step or the whole probe timed out: with more time, it might have succeeded."""
    return any(located.problem.reason in RAN_OUT_OF_TIME for located in problems(report))


def well_known_ran_out_of_time(report: Report) -> bool:
    """Whether the well-known might have delegated if there had been more time."""
    outcome = report.well_known
    return isinstance(outcome, Failed) and any(problem.reason in RAN_OUT_OF_TIME for problem in outcome.problems)


def federates(report: Report) -> bool:
    """Whether both Synapse and Dendrite get through. The Conduit family does not count."""
    verdicts = peers.verdicts(report)
    return all(verdicts[implementation].federates for implementation in peers.DECISIVE)


def federation(report: Report) -> Federation:
    """Return the verdict in three grades. It is partial in three cases, if at least Synapse or Dendrite gets through:

    - some implementation does not get through;
    - lookups work, but a reverse proxy breaks joins or messages;
    - the server does not reach others, or does not accept every signed request.
    """
    verdicts = peers.verdicts(report)
    if not any(verdicts[implementation].federates for implementation in peers.DECISIVE):
        return Federation.NONE
    seen = stages(report)
    whole = all(seen[stage].ok for stage in (Stage.PROXY, Stage.OUTBOUND) if stage in seen)
    full = whole and all(of.federates for of in verdicts.values())
    return Federation.FULL if full else Federation.PARTIAL


def stages(report: Report) -> dict[Stage, StageVerdict]:
    """Return one verdict for each stage that was reached, in order."""
    verdicts: dict[Stage, StageVerdict] = {}
    for stage, _, outcome in report.outcomes():
        if not isinstance(outcome, Skipped):
            before = verdicts.get(stage, StageVerdict(ok=True, seconds=0.0))
            ok = before.ok and isinstance(outcome, Passed)
            verdicts[stage] = StageVerdict(ok, max(before.seconds, outcome.seconds))
    return verdicts


def problems(report: Report) -> list[LocatedProblem]:
    """Return every problem, in the order of the stages."""
    return in_order(
        LocatedProblem(stage, endpoint, problem)
        for stage, endpoint, outcome in report.outcomes()
        if isinstance(outcome, Failed)
        for problem in outcome.problems
    )


def in_order(located: Iterable[LocatedProblem]) -> list[LocatedProblem]:
    """Sort problems by stage, so that a cause comes before what follows from it."""
    return sorted(located, key=lambda each: _ORDER[each.stage])


def tls_sessions(report: Report) -> dict[CertificateOf, tuple[TlsSession, ...]]:
    """Return all TLS sessions, by kind of connection. A kind without any session is missing."""
    delegation = found(report.well_known)
    by_connection = {
        CertificateOf.WELL_KNOWN: (delegation.tls_session,) if delegation and delegation.tls_session else (),
        CertificateOf.FEDERATION: tuple(tls for endpoint in report.endpoints if (tls := found(endpoint.tls))),
    }
    return {connection: sessions for connection, sessions in by_connection.items() if sessions}


def first_to_expire(certificates: Iterable[Certificate]) -> Certificate:
    """Return the certificate whose own validity ends first. There must be at least one."""
    return min(certificates, key=lambda certificate: certificate.not_after)


def healthy_by_family(report: Report) -> dict[IPFamily, tuple[int, int]]:
    """Return two counts for each family that has endpoints: all of them, and those that passed every stage."""
    counts: dict[IPFamily, tuple[int, int]] = {}
    for endpoint in report.endpoints:
        family = endpoint.endpoint.ip_family
        total, healthy = counts.get(family, (0, 0))
        counts[family] = (total + 1, healthy + endpoint.ok)
    return counts


def software(report: Report) -> Software | None:
    """Return the software of the first endpoint that reports one."""
    return next((software for endpoint in report.endpoints if (software := found(endpoint.version))), None)


def signing_keys(report: Report) -> SigningKeys | None:
    """Return the keys of the endpoint whose keys expire first; endpoints without a valid key do not count."""
    published = [keys for endpoint in report.endpoints if (keys := found(endpoint.keys)) and keys.keys]
    return min(published, key=lambda keys: keys.valid_until, default=None)
