"""What works, but will cause trouble. Every warning has one rule, a pure function of a finished report."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from exporter.judging.verdict import healthy_by_family, signing_keys, tls_sessions
from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily, SrvService, WithRemedy
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Failed, found
from exporter.model.reasons import ON_WEB_SERVER
from exporter.model.report import Report

# A peer should not have to fetch the keys more often (server-server API, "Publishing Keys").
_KEY_VALIDITY_AHEAD = timedelta(hours=1)
_OLD_TLS_VERSIONS = {"SSLv3", "TLSv1", "TLSv1.1"}
_LARGE_WELL_KNOWN_BYTES = 12 * 1024  # the strictest homeserver reads no more
_CACHE_SECONDS = range(5 * 60, 48 * 3600 + 1)  # Synapse never caches for less, the specification never for longer
_MAX_WELL_KNOWN_CACHED = timedelta(hours=48)  # the longest that a peer may cache one
_MAX_OLD_KEY_FAULTS = 5  # in one detail


class WarningName(WithRemedy):
    """What works today, but will cause trouble. The list is closed, like the list of reasons."""

    DELEGATION_LOST = (
        "delegation_lost",
        ON_WEB_SERVER + "serve /.well-known/matrix/server again. Peers that have cached it still connect, but fewer "
        "and fewer of them. The port that the others fall back to is not the cause.",
    )
    LEGACY_SRV_ONLY = (
        "legacy_srv_only",
        "In your DNS zone, publish the same SRV records under _matrix-fed._tcp. Keep those under _matrix._tcp for "
        "peers that are older than version 1.8 of the specification.",
    )
    SRV_AND_WELL_KNOWN_DISAGREE = (
        "srv_and_well_known_disagree",
        "Peers that cannot read the well-known follow the SRV records: in your DNS zone, point these to the target of "
        "the well-known, or delete them.",
    )
    WELL_KNOWN_SPLIT_BRAIN = (
        "well_known_split_brain",
        "Serve the same /.well-known/matrix/server at every address of the server name: find the web server that "
        "differs, or remove its A or AAAA record from DNS.",
    )
    WELL_KNOWN_LARGE = (
        "well_known_large",
        ON_WEB_SERVER + "serve nothing but the delegation at /.well-known/matrix/server: some homeservers refuse large "
        "responses.",
    )
    WELL_KNOWN_NOT_200 = (
        "well_known_not_200",
        ON_WEB_SERVER + "answer requests for /.well-known/matrix/server with status 200.",
    )
    WELL_KNOWN_CACHE_OUT_OF_BOUNDS = (
        "well_known_cache_out_of_bounds",
        ON_WEB_SERVER + "let /.well-known/matrix/server be cached for between 5 minutes and 48 hours (Cache-Control: "
        "max-age=86400): peers cache it for no less and no more.",
    )
    IPV4_BROKEN = (
        "ipv4_broken",
        "Peers that only have IPv4 cannot reach this server: repair the IPv4 endpoints, or remove their A records from "
        "DNS until they work.",
    )
    IPV6_BROKEN = (
        "ipv6_broken",
        "Peers that try IPv6 first are slow or fail: repair the IPv6 endpoints, or remove their AAAA records from DNS "
        "until they work.",
    )
    SOME_ENDPOINTS_BROKEN = (
        "some_endpoints_broken",
        "Peers that choose a broken endpoint are slow or fail: repair it, or remove its address or its SRV record from "
        "DNS.",
    )
    TLS_VERSION_OLD = (
        "tls_version_old",
        "Enable TLS 1.2 and 1.3 on the homeserver or its reverse proxy: many peers refuse anything older.",
    )
    KEY_VALIDITY_SHORT = (
        "key_validity_short",
        "Peers have to fetch the keys over and over: configure the homeserver to publish them with a valid_until_ts "
        "at least an hour ahead (Synapse: key_refresh_interval), and check its clock.",
    )
    KEYS_DIFFER = (
        "keys_differ",
        "Every endpoint must lead to the same homeserver with the same signing key file: find the one that does not, "
        "such as an old machine that is still in DNS.",
    )
    KEYS_CONTENT_TYPE = (
        "keys_content_type",
        "The response to /_matrix/key/v2/server needs Content-Type: application/json. Check that the reverse proxy "
        "does not change the homeserver's header.",
    )
    OLD_KEY_INCONSISTENT = (
        "old_key_inconsistent",
        "Correct the old keys in the homeserver's configuration (Synapse: old_signing_keys): each needs the key itself "
        "and the time at which it expired, in the past, and must no longer be in use.",
    )
    HOST_WITH_PORT_DIFFERS = (
        "host_with_port_differs",
        "Some homeservers always send the port in Host: configure the reverse proxy to choose the same virtual host "
        "with and without it.",
    )
    NOTARY_DISAGREES = (
        "notary_disagrees",
        "Another server got other keys for this name: restore the homeserver's signing key file if it was lost or "
        "replaced, use the same file on every machine in DNS, and check that the notary's network reaches this server.",
    )


@dataclass(frozen=True, slots=True)
class ActiveWarning:
    """A warning that applies to a report, and a sentence about what was found."""

    warning: WarningName
    detail: str


_WarningDetails: TypeAlias = Iterator[str]


def warnings(report: Report, delegation_last_seen: datetime | None = None) -> tuple[ActiveWarning, ...]:
    """Return every warning that applies, in the order of the list.

    `delegation_last_seen` is when a valid well-known was last seen (UTC); None if never.
    """
    lost = (
        ActiveWarning(WarningName.DELEGATION_LOST, detail) for detail in _delegation_lost(report, delegation_last_seen)
    )
    others = (ActiveWarning(warning, detail) for warning, rule in RULES.items() for detail in rule(report))
    return (*lost, *others)


def _delegation_lost(report: Report, last_seen: datetime | None) -> _WarningDetails:
    """Peers that cached the earlier response still reach the server, until their caches expire one by one."""
    delegation = found(report.well_known)
    if last_seen and delegation and not delegation.server and report.ended_at - last_seen < _MAX_WELL_KNOWN_CACHED:
        yield f"a valid well-known was last seen at {last_seen:%Y-%m-%d %H:%M} UTC"


def _legacy_srv_only(report: Report) -> _WarningDetails:
    srv = found(report.srv)
    if srv and srv.decided_by is SrvService.MATRIX and srv.records.get(SrvService.MATRIX):
        yield "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing"


def _srv_and_well_known_disagree(report: Report) -> _WarningDetails:
    """Peers that cannot read the well-known follow the SRV records (step 4), and connect somewhere else."""
    records = report.deep.srv if report.deep else None
    by_srv = routes.srv_targets(records) if records else ()
    if by_srv and set(by_srv) != set(report.route.targets):
        by_well_known = _join_targets(report.route.targets)
        yield f"the SRV records lead to {_join_targets(by_srv)}, but the well-known leads to {by_well_known}"


def _well_known_split_brain(report: Report) -> _WarningDetails:
    if report.deep and len(set(report.deep.well_knowns.values())) > 1:
        yield "; ".join(f"{address} answers with {summary}" for address, summary in report.deep.well_knowns.items())


def _well_known_large(report: Report) -> _WarningDetails:
    delegation = found(report.well_known)
    size = delegation.response.body_bytes if delegation and delegation.server and delegation.response else 0
    if size > _LARGE_WELL_KNOWN_BYTES:
        yield f"the well-known has {size} bytes, but some servers read only {_LARGE_WELL_KNOWN_BYTES}"


def _well_known_not_200(report: Report) -> _WarningDetails:
    delegation = found(report.well_known)
    if delegation and delegation.response and 200 < delegation.response.status < 300:
        yield f"status {delegation.response.status}: some servers accept it, but the specification requires 200"


def _well_known_cache_out_of_bounds(report: Report) -> _WarningDetails:
    delegation = found(report.well_known)
    announced = delegation.response.announced_seconds if delegation and delegation.response else None
    if delegation and delegation.server and announced is not None and announced not in _CACHE_SECONDS:
        bounds = f"{_CACHE_SECONDS[0]} to {_CACHE_SECONDS[-1]}"
        yield f"its headers allow caching for {announced} seconds, but peers cache it for {bounds}"


def _ipv4_broken(report: Report) -> _WarningDetails:
    return _family_broken(report, IPFamily.IPV4)


def _ipv6_broken(report: Report) -> _WarningDetails:
    return _family_broken(report, IPFamily.IPV6)


def _family_broken(report: Report, family: IPFamily) -> _WarningDetails:
    total, healthy = healthy_by_family(report).get(family, (0, 0))
    if total and not healthy:
        yield f"0 of {total} endpoints passed every stage"


def _some_endpoints_broken(report: Report) -> _WarningDetails:
    broken = [endpoint.endpoint.address for endpoint in report.endpoints if not endpoint.ok]
    if broken and len(broken) < len(report.endpoints):
        yield f"{len(broken)} of {len(report.endpoints)} endpoints failed a stage: {', '.join(broken)}"


def _tls_version_old(report: Report) -> _WarningDetails:
    for connection, sessions in tls_sessions(report).items():
        if old := sorted({session.tls_version for session in sessions} & _OLD_TLS_VERSIONS):
            yield f"{connection}: {', '.join(old)}"


def _key_validity_short(report: Report) -> _WarningDetails:
    if keys := signing_keys(report):
        ahead = keys.valid_until - report.ended_at
        if timedelta() < ahead < _KEY_VALIDITY_AHEAD:
            yield f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected at least 60"


def _keys_differ(report: Report) -> _WarningDetails:
    key_sets = {frozenset(keys.keys.items()) for keys in _published_keys(report)}
    if len(key_sets) > 1:
        yield f"the endpoints publish {len(key_sets)} different sets of keys"


def _keys_content_type(report: Report) -> _WarningDetails:
    types = {keys.content_type for keys in _published_keys(report)}
    if wrong := sorted(content_type or "missing" for content_type in types - {"application/json"}):
        yield f"Content-Type is {', '.join(wrong)}, expected application/json"


def _old_key_inconsistent(report: Report) -> _WarningDetails:
    if faults := tuple(dict.fromkeys(fault for keys in _published_keys(report) for fault in keys.old_key_faults)):
        yield "; ".join(faults[:_MAX_OLD_KEY_FAULTS])


def _host_with_port_differs(report: Report) -> _WarningDetails:
    for endpoint in report.endpoints:
        if endpoint.deep and endpoint.deep.host_with_port_differs:
            yield f"{endpoint.endpoint.address}: {endpoint.deep.host_with_port_differs}"


def _notary_disagrees(report: Report) -> _WarningDetails:
    """Peers that rely on the notary reject what this server signs."""
    outcomes = [result.outcome for result in report.deep.notaries] if report.deep else []
    problems = [problem for outcome in outcomes if isinstance(outcome, Failed) for problem in outcome.problems]
    if problems:
        yield "; ".join(problem.detail for problem in problems)


def _published_keys(report: Report) -> Iterator[SigningKeys]:
    for endpoint in report.endpoints:
        if keys := found(endpoint.keys):
            yield keys


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
"""The rule of every warning but `delegation_lost`, which needs more than the report."""
