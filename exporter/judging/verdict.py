"""What a finished report means. Pure functions, which never touch the network."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import CertificateOf, IPFamily, Stage
from exporter.model.findings import Certificate, SigningKeys, Software, TlsSession
from exporter.model.outcomes import Failed, Passed, Problem, ResourceShortage, Skipped, found
from exporter.model.reasons import RAN_OUT_OF_TIME
from exporter.model.report import Report

_MAX_STALLED_SHARE = 0.1  # of a probe: that a server does not answer is believed where we listened for the rest of it


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """`ok`: everything that reached the stage passed it. `seconds`: the slowest of those that ran."""

    ok: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    stage: Stage
    endpoint: Endpoint | None
    problem: Problem


def exporter_starved(report: Report) -> bool:
    """We did, of what a probe needs: the report tells nothing of the server."""
    return any(isinstance(located.problem, ResourceShortage) for located in problems(report)) or (
        report.stalled_seconds > _MAX_STALLED_SHARE * report.seconds and ran_out_of_time(report)
    )


def ran_out_of_time(report: Report) -> bool:
    """A step of it did, or all of it: with more time, it might have succeeded."""
    return any(located.problem.reason in RAN_OUT_OF_TIME for located in problems(report))


def well_known_ran_out_of_time(report: Report) -> bool:
    """Whether the well-known might have delegated if there had been more time."""
    outcome = report.well_known
    return isinstance(outcome, Failed) and any(problem.reason in RAN_OUT_OF_TIME for problem in outcome.problems)


def federates(report: Report) -> bool:
    """A peer that follows the specification can federate, through at least one endpoint."""
    return any(endpoint.ok and not endpoint.endpoint.behind_alias for endpoint in report.endpoints)


def stages(report: Report) -> dict[Stage, StageVerdict]:
    """The stages that were reached, in order; several endpoints make one verdict."""
    verdicts: dict[Stage, StageVerdict] = {}
    for stage, _, outcome in report.outcomes():
        if not isinstance(outcome, Skipped):
            so_far = verdicts.get(stage, StageVerdict(ok=True, seconds=0.0))
            ok = so_far.ok and isinstance(outcome, Passed)
            verdicts[stage] = StageVerdict(ok, max(so_far.seconds, outcome.seconds))
    return verdicts


def problems(report: Report) -> Iterator[LocatedProblem]:
    for stage, endpoint, outcome in report.outcomes():
        if isinstance(outcome, Failed):
            for problem in outcome.problems:
                yield LocatedProblem(stage, endpoint, problem)


def tls_sessions(report: Report) -> dict[CertificateOf, tuple[TlsSession, ...]]:
    """What every TLS connection presented, by kind of connection; a kind without any is missing."""
    delegation = found(report.well_known)
    by_connection = {
        CertificateOf.WELL_KNOWN: (delegation.secured,) if delegation and delegation.secured else (),
        CertificateOf.FEDERATION: tuple(tls for endpoint in report.endpoints if (tls := found(endpoint.tls))),
    }
    return {connection: seen for connection, seen in by_connection.items() if seen}


def first_to_expire(certificates: Iterable[Certificate]) -> Certificate:
    return min(certificates, key=lambda certificate: certificate.not_after)


def healthy_by_family(report: Report) -> dict[IPFamily, tuple[int, int]]:
    """For each family that has endpoints: how many there are, and how many passed every stage."""
    counts: dict[IPFamily, tuple[int, int]] = {}
    for endpoint in report.endpoints:
        family = endpoint.endpoint.ip_family
        total, healthy = counts.get(family, (0, 0))
        counts[family] = (total + 1, healthy + endpoint.ok)
    return counts


def software(report: Report) -> Software | None:
    """Of the first endpoint that tells."""
    return next((seen for endpoint in report.endpoints if (seen := found(endpoint.version))), None)


def signing_keys(report: Report) -> SigningKeys | None:
    """Of the endpoint whose keys expire first."""
    published = [seen for endpoint in report.endpoints if (seen := found(endpoint.keys)) and seen.keys]
    return min(published, key=lambda keys: keys.valid_until, default=None)


def leads_only_to(report: Report, expected: Target) -> bool:
    """The delegation leads to the expected target, and to no other."""
    return report.route.targets == (expected,)
