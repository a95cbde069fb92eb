"""What works, but will hurt someone. Pure functions over a finished report: one rule, one warning."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from exporter.judging.verdict import healthy_by_family, signing_keys, tls_sessions
from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily, SrvService, WarningName
from exporter.model.outcomes import Failed, found
from exporter.model.report import Report

_KEY_VALIDITY_AHEAD = timedelta(
    hours=1
)  # a peer should not have to ask more often (server-server API, "Publishing Keys")
_OLD_TLS_VERSIONS = {"SSLv3", "TLSv1", "TLSv1.1"}
_LARGE_WELL_KNOWN_BYTES = 12 * 1024  # what the strictest homeserver reads
_CACHE_SECONDS = range(5 * 60, 48 * 3600 + 1)  # Synapse keeps no answer for less, the specification none for longer
_WELL_KNOWN_REMEMBERED = timedelta(hours=48)  # the longest that a peer may keep one


@dataclass(frozen=True, slots=True)
class ActiveWarning:
    warning: WarningName
    detail: str


_WarningDetails: TypeAlias = Iterator[str]


def warnings(report: Report, delegation_last_seen: datetime | None = None) -> tuple[ActiveWarning, ...]:
    """`delegation_last_seen` is when a valid well-known was last seen, if ever."""
    found_now = (ActiveWarning(warning, detail) for warning, rule in RULES.items() for detail in rule(report))
    lost = (
        ActiveWarning(WarningName.DELEGATION_LOST, detail) for detail in _delegation_lost(report, delegation_last_seen)
    )
    return (*lost, *found_now)


def _delegation_lost(report: Report, seen: datetime | None) -> _WarningDetails:
    """Peers that keep the earlier answer still reach the server, and stop one by one."""
    delegation = found(report.well_known)
    if seen and delegation and not delegation.server and report.ended_at - seen < _WELL_KNOWN_REMEMBERED:
        yield f"a valid well-known was last seen at {seen:%Y-%m-%d %H:%M} UTC"


def _legacy_srv_only(report: Report) -> _WarningDetails:
    srv = found(report.srv)
    if srv and srv.decided_by is SrvService.MATRIX and srv.records.get(SrvService.MATRIX):
        yield "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing"


def _srv_and_well_known_disagree(report: Report) -> _WarningDetails:
    """Peers that cannot read the well-known follow the SRV records (step 4), and meet something else there."""
    records = report.deep.srv if report.deep else None
    by_srv = routes.srv_targets(records) if records else ()
    if by_srv and set(by_srv) != set(report.route.targets):
        by_well_known = _join_targets(report.route.targets)
        yield f"the SRV records lead to {_join_targets(by_srv)}, the well-known to {by_well_known}"


def _well_known_split_brain(report: Report) -> _WarningDetails:
    if report.deep and len(set(report.deep.well_knowns.values())) > 1:
        yield "; ".join(f"{address} answers {answer}" for address, answer in report.deep.well_knowns.items())


def _well_known_large(report: Report) -> _WarningDetails:
    delegation = found(report.well_known)
    size = delegation.answered.body_bytes if delegation and delegation.server and delegation.answered else 0
    if size > _LARGE_WELL_KNOWN_BYTES:
        yield f"{size} bytes, some servers read {_LARGE_WELL_KNOWN_BYTES}"


def _well_known_not_200(report: Report) -> _WarningDetails:
    delegation = found(report.well_known)
    if delegation and delegation.answered and 200 < delegation.answered.status < 300:
        yield f"status {delegation.answered.status}: some servers accept it, the specification does not"


def _well_known_cache_out_of_bounds(report: Report) -> _WarningDetails:
    delegation = found(report.well_known)
    announced = delegation.answered.announced_seconds if delegation and delegation.answered else None
    if delegation and delegation.server and announced is not None and announced not in _CACHE_SECONDS:
        yield f"{announced} seconds are announced, peers keep it for {_CACHE_SECONDS[0]} to {_CACHE_SECONDS[-1]}"


def _ipv4_broken(report: Report) -> _WarningDetails:
    return _family_broken(report, IPFamily.IPV4)


def _ipv6_broken(report: Report) -> _WarningDetails:
    return _family_broken(report, IPFamily.IPV6)


def _family_broken(report: Report, family: IPFamily) -> _WarningDetails:
    total, healthy = healthy_by_family(report).get(family, (0, 0))
    if total and not healthy:
        yield f"{total} published, but none of them passed every stage"


def _some_endpoints_broken(report: Report) -> _WarningDetails:
    broken = [endpoint.endpoint.address for endpoint in report.endpoints if not endpoint.ok]
    if broken and len(broken) < len(report.endpoints):
        yield f"{len(broken)} of {len(report.endpoints)}: {', '.join(broken)}"


def _tls_version_old(report: Report) -> _WarningDetails:
    for connection, seen in tls_sessions(report).items():
        if old := sorted({tls.tls_version for tls in seen} & _OLD_TLS_VERSIONS):
            yield f"{connection}: {', '.join(old)}"


def _key_validity_short(report: Report) -> _WarningDetails:
    if keys := signing_keys(report):
        ahead = keys.valid_until - report.ended_at
        if timedelta() < ahead < _KEY_VALIDITY_AHEAD:
            yield f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected 60"


def _keys_differ(report: Report) -> _WarningDetails:
    published = {frozenset(seen.keys.items()) for endpoint in report.endpoints if (seen := found(endpoint.keys))}
    if len(published) > 1:
        yield f"{len(published)} different sets of keys are published"


def _keys_content_type(report: Report) -> _WarningDetails:
    types = {seen.content_type for endpoint in report.endpoints if (seen := found(endpoint.keys))}
    if wrong := sorted(content_type or "none" for content_type in types - {"application/json"}):
        yield f"the keys come as {', '.join(wrong)}, expected application/json"


def _old_key_inconsistent(report: Report) -> _WarningDetails:
    faults = (fault for endpoint in report.endpoints if (seen := found(endpoint.keys)) for fault in seen.old_key_faults)
    if faults_once := tuple(dict.fromkeys(faults)):
        yield "; ".join(faults_once[:5])


def _host_with_port_differs(report: Report) -> _WarningDetails:
    for endpoint in report.endpoints:
        if endpoint.deep and endpoint.deep.host_with_port_differs:
            yield f"{endpoint.endpoint.address}: {endpoint.deep.host_with_port_differs}"


def _notary_disagrees(report: Report) -> _WarningDetails:
    """Peers that believe the notary refuse what this server signs."""
    looks = report.deep.notaries if report.deep else ()
    problems = [problem for look in looks if isinstance(look.outcome, Failed) for problem in look.outcome.problems]
    if problems:
        yield "; ".join(problem.detail for problem in problems)


def _join_targets(targets: tuple[Target, ...]) -> str:
    return ", ".join(str(target) for target in targets)


RULES = {
    WarningName.LEGACY_SRV_ONLY: _legacy_srv_only,
    WarningName.SRV_AND_WELL_KNOWN_DISAGREE: _srv_and_well_known_disagree,
    WarningName.WELL_KNOWN_SPLIT_BRAIN: _well_known_split_brain,
    WarningName.WELL_KNOWN_LARGE: _well_known_large,
    WarningName.WELL_KNOWN_NOT_200: _well_known_not_200,
    WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS: _well_known_cache_out_of_bounds,
    WarningName.IPV4_BROKEN: _ipv4_broken,
    WarningName.IPV6_BROKEN: _ipv6_broken,
    WarningName.SOME_ENDPOINTS_BROKEN: _some_endpoints_broken,
    WarningName.TLS_VERSION_OLD: _tls_version_old,
    WarningName.KEY_VALIDITY_SHORT: _key_validity_short,
    WarningName.KEYS_DIFFER: _keys_differ,
    WarningName.KEYS_CONTENT_TYPE: _keys_content_type,
    WarningName.OLD_KEY_INCONSISTENT: _old_key_inconsistent,
    WarningName.HOST_WITH_PORT_DIFFERS: _host_with_port_differs,
    WarningName.NOTARY_DISAGREES: _notary_disagrees,
}
