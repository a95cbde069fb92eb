"""What works, but will hurt someone. Pure functions over a finished report: one rule, one warning."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from exporter.judging.verdict import healthy_by_family, signing_keys, tls_sessions
from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily, SrvService, WithRemedy
from exporter.model.outcomes import Failed, found
from exporter.model.reasons import ON_WEB_SERVER
from exporter.model.report import Report

# A peer should not have to fetch the keys more often (server-server API, "Publishing Keys").
_KEY_VALIDITY_AHEAD = timedelta(hours=1)
_OLD_TLS_VERSIONS = {"SSLv3", "TLSv1", "TLSv1.1"}
_LARGE_WELL_KNOWN_BYTES = 12 * 1024  # what the strictest homeserver reads
_CACHE_SECONDS = range(5 * 60, 48 * 3600 + 1)  # Synapse keeps no answer for less, the specification none for longer
_WELL_KNOWN_REMEMBERED = timedelta(hours=48)  # the longest that a peer may keep one


class WarningName(WithRemedy):
    """What works today, but will hurt someone. The list is closed, like the reasons."""

    DELEGATION_LOST = (
        "delegation_lost",
        ON_WEB_SERVER + "serve /.well-known/matrix/server again. Peers that remember it still work, and stop "
        "one by one; the port that the fallback tries is not to blame.",
    )
    LEGACY_SRV_ONLY = (
        "legacy_srv_only",
        (
            "In your DNS zone, publish the same SRV records under _matrix-fed._tcp, and keep those under "
            "_matrix._tcp for peers older than version 1.8 of the specification."
        ),
    )
    SRV_AND_WELL_KNOWN_DISAGREE = (
        "srv_and_well_known_disagree",
        (
            "Let the SRV records in your DNS zone name the same target as the well-known, or delete them: peers "
            "that cannot read the well-known follow them."
        ),
    )
    WELL_KNOWN_SPLIT_BRAIN = (
        "well_known_split_brain",
        (
            "Serve the same /.well-known/matrix/server at every address of the server name: find the web server "
            "that differs, or take its A or AAAA record out of DNS."
        ),
    )
    WELL_KNOWN_LARGE = (
        "well_known_large",
        (
            "On the web server of the server name: serve nothing but the delegation at "
            "/.well-known/matrix/server, as some homeservers refuse long answers."
        ),
    )
    WELL_KNOWN_NOT_200 = (
        "well_known_not_200",
        "On the web server of the server name: answer /.well-known/matrix/server with status 200.",
    )
    WELL_KNOWN_CACHE_OUT_OF_BOUNDS = (
        "well_known_cache_out_of_bounds",
        (
            "On the web server of the server name: expect_continue between 5 minutes and 48 hours for "
            "/.well-known/matrix/server (Cache-Control: max-age=86400), as peers keep it no longer and no "
            "shorter."
        ),
    )
    IPV4_BROKEN = (
        "ipv4_broken",
        (
            "Peers that have IPv4 only cannot reach this server: repair the IPv4 endpoints, or take their A "
            "records out of DNS until they work."
        ),
    )
    IPV6_BROKEN = (
        "ipv6_broken",
        (
            "Peers that try IPv6 first are slow or fail: repair the IPv6 endpoints, or take their AAAA records "
            "out of DNS until they work."
        ),
    )
    SOME_ENDPOINTS_BROKEN = (
        "some_endpoints_broken",
        (
            "Peers that choose a broken endpoint fail or are slow: repair it, or take its address or SRV record out of "
            "DNS."
        ),
    )
    TLS_VERSION_OLD = (
        "tls_version_old",
        "Allow TLS 1.2 and 1.3 on the homeserver or its reverse proxy: many peers refuse anything older.",
    )
    KEY_VALIDITY_SHORT = (
        "key_validity_short",
        (
            "Let the homeserver publish its keys with a valid_until_ts of an hour or more ahead (Synapse: "
            "key_refresh_interval), or peers fetch them again and again; check its clock too."
        ),
    )
    KEYS_DIFFER = (
        "keys_differ",
        (
            "Every endpoint must be the same homeserver with the same signing key file: find the one that is "
            "not, such as an old machine that is still in DNS."
        ),
    )
    KEYS_CONTENT_TYPE = (
        "keys_content_type",
        (
            "Let /_matrix/key/v2/server be answered with Content-Type: application/json: check that the reverse "
            "proxy does not change the homeserver's header."
        ),
    )
    OLD_KEY_INCONSISTENT = (
        "old_key_inconsistent",
        (
            "Correct the old keys in the homeserver's configuration (Synapse: old_signing_keys): each needs its "
            "key and when it expired, in the past, and must not be in use any more."
        ),
    )
    HOST_WITH_PORT_DIFFERS = (
        "host_with_port_differs",
        (
            "Let the reverse proxy choose the same virtual host whether or not Host bears the port: some "
            "homeservers always send it."
        ),
    )
    NOTARY_DISAGREES = (
        "notary_disagrees",
        (
            "Another server got other keys under this name: restore the homeserver's signing key file if it was "
            "lost or replaced, let every machine in DNS use the same one, and check that the notary's network "
            "reaches this server."
        ),
    )


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
