"""What a finished report means. Pure functions, which never touch the network."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from exporter.model import (
    Certificate,
    CertificateOf,
    Endpoint,
    Failed,
    Found,
    IPFamily,
    Outcome,
    Passed,
    Problem,
    Report,
    Secured,
    SigningKeys,
    Skipped,
    Software,
    SrvService,
    Stage,
    Target,
    WarningName,
)

KEY_VALIDITY_AHEAD = timedelta(
    hours=1
)  # originators should not be asked more often (server-server API, "Publishing Keys")
OLD_TLS_VERSIONS = {"SSLv3", "TLSv1", "TLSv1.1"}


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


def secured(report: Report) -> dict[CertificateOf, tuple[Secured, ...]]:
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


def delegation_is(report: Report, expected: Target) -> bool:
    """The delegation leads to the expected target, and to no other."""
    return report.route.targets == (expected,)


def found(outcome: Outcome[Found]) -> Found | None:
    return None if isinstance(outcome, Skipped) else outcome.found


# ---------------------------------------------------------------- warnings


@dataclass(frozen=True, slots=True)
class LocatedWarning:
    warning: WarningName
    detail: str


def warnings(report: Report) -> Iterator[LocatedWarning]:
    for judge in (
        legacy_srv_only,
        broken_families,
        some_endpoints_broken,
        tls_version_old,
        key_validity_short,
        keys_differ,
    ):
        for warning, detail in judge(report):
            yield LocatedWarning(warning, detail)


Findings: TypeAlias = Iterator[tuple[WarningName, str]]


def legacy_srv_only(report: Report) -> Findings:
    if (srv := found(report.srv)) and srv.decided_by is SrvService.MATRIX and srv.records[SrvService.MATRIX]:
        yield (
            WarningName.LEGACY_SRV_ONLY,
            "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing",
        )


def broken_families(report: Report) -> Findings:
    for family, warning in ((IPFamily.IPV4, WarningName.IPV4_BROKEN), (IPFamily.IPV6, WarningName.IPV6_BROKEN)):
        total, healthy = healthy_by_family(report).get(family, (0, 0))
        if total and not healthy:
            yield warning, f"{total} published, but none of them passed every stage"


def some_endpoints_broken(report: Report) -> Findings:
    broken = [endpoint.endpoint.address for endpoint in report.endpoints if not endpoint.ok]
    if broken and len(broken) < len(report.endpoints):
        yield WarningName.SOME_ENDPOINTS_BROKEN, f"{len(broken)} of {len(report.endpoints)}: {', '.join(broken)}"


def tls_version_old(report: Report) -> Findings:
    for connection, seen in secured(report).items():
        if old := sorted({tls.tls_version for tls in seen} & OLD_TLS_VERSIONS):
            yield WarningName.TLS_VERSION_OLD, f"{connection}: {', '.join(old)}"


def key_validity_short(report: Report) -> Findings:
    if keys := signing_keys(report):
        ahead = keys.valid_until - report.ended_at
        if timedelta() < ahead < KEY_VALIDITY_AHEAD:
            yield (
                WarningName.KEY_VALIDITY_SHORT,
                f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected 60",
            )


def keys_differ(report: Report) -> Findings:
    published = {frozenset(seen.keys.items()) for endpoint in report.endpoints if (seen := found(endpoint.keys))}
    if len(published) > 1:
        yield WarningName.KEYS_DIFFER, f"{len(published)} different sets of keys are published"
