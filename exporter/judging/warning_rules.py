"""The rules of the warnings: each yields a sentence about what was found where its warning applies. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import TypeAlias

from exporter.judging import peers
from exporter.judging.peers.synapse import Synapse
from exporter.judging.verdict import healthy_by_family, problems, signing_keys, tls_sessions
from exporter.model import routes
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily, SrvService, Stage
from exporter.model.findings import Delegation, SigningKeys
from exporter.model.outcomes import (
    Failed,
    Intermediary,
    Outcome,
    Passed,
    Problem,
    ResourceShortage,
    UnexpectedResponse,
    found,
)
from exporter.model.reasons import Reason
from exporter.model.report import Report

# A peer should not have to fetch the keys more often (server-server API, "Publishing Keys").
_KEY_VALIDITY_AHEAD = timedelta(hours=1)
_CLOCK_DIFFERENCE = timedelta(minutes=1)  # between the server and the exporter, which is no fault
_OLD_TLS_VERSIONS = {"SSLv3", "TLSv1", "TLSv1.1"}
_LARGE_WELL_KNOWN_BYTES = 12 * 1024  # the strictest homeserver reads no more
_LONG_HEADER_LINE_BYTES = Synapse.max_header_line_bytes
_CACHE_SECONDS = range(5 * 60, 48 * 3600 + 1)  # Synapse never caches for less, the specification never for longer
_MAX_WELL_KNOWN_CACHED = timedelta(hours=48)  # the longest that a peer may cache one
_MAX_OLD_KEY_FAULTS = 5  # in one detail

_NOT_CONNECTED = {
    *(Reason.NXDOMAIN, Reason.NO_ADDRESSES, Reason.DNS_FAILURE, Reason.DNS_TIMEOUT),
    *(Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.CONNECT_PROHIBITED),
    *(Reason.UNREACHABLE, Reason.BLOCKED_ADDRESS, Reason.TUNNEL_FAILED, Reason.TUNNEL_TIMEOUT),
}
"""Why no address of a web server accepted a connection, so that peers go on to the other IP family."""

Details: TypeAlias = Iterator[str]


def delegation_lost(report: Report, last_seen: datetime | None) -> Details:
    """Peers that cached the earlier response still reach the server, until their caches expire one by one."""
    delegation = found(report.well_known)
    if last_seen and delegation and not delegation.server and report.ended_at - last_seen < _MAX_WELL_KNOWN_CACHED:
        yield f"a valid well-known was last seen at {last_seen:%Y-%m-%d %H:%M} UTC"


def works_for_some(report: Report) -> Details:
    if len({of.federates for of in peers.verdicts(report).values()}) > 1:
        yield "; ".join(map(str, peers.obstacles(report)))


def legacy_srv_only(report: Report) -> Details:
    srv = found(report.srv)
    if srv and srv.decided_by is SrvService.MATRIX and srv.records.get(SrvService.MATRIX):
        yield "only _matrix._tcp is published, which is deprecated; _matrix-fed._tcp is missing"


def srv_and_well_known_disagree(report: Report) -> Details:
    """Peers that cannot read the well-known follow the SRV records (step 4), and connect somewhere else."""
    records = report.deep.srv if report.deep else None
    by_srv = routes.srv_targets(records) if records else ()
    if by_srv and set(by_srv) != set(report.route.targets):
        by_well_known = _join_targets(report.route.targets)
        yield f"the SRV records lead to {_join_targets(by_srv)}, but the well-known leads to {by_well_known}"


def well_known_split_brain(report: Report) -> Details:
    answers = report.deep.well_knowns if report.deep else {}
    if len(set(answers.values())) > 1:
        text = "; ".join(f"{address} answers with {summary}" for address, summary in answers.items())
        over_ipv6 = [address for address in answers if address.startswith("[")]
        decided = 0 < len(over_ipv6) < len(answers)
        yield f"{text}; peers that have IPv6 follow {', '.join(over_ipv6)}" if decided else text


def well_known_one_family(report: Report) -> Details:
    """Only a well-known that delegates over one family matters: without any, peers go to the server name itself."""
    outcomes = report.deep.well_known_over if report.deep else {}
    delegating = {family for family, outcome in outcomes.items() if (seen := found(outcome)) and seen.server}
    for family in outcomes.keys() - delegating if delegating else ():
        if why := _unfetched_because(outcomes[family]):
            connected = why.reason not in _NOT_CONNECTED
            whose = "have IPv6" if connected and family is IPFamily.IPV6 else f"only have {family.written}"
            yield (
                f"over {family.written} it cannot be fetched ({why.reason}: {why.detail}), although the homeserver can "
                f"be reached: peers that {whose} do not see the delegation"
            )


def _unfetched_because(outcome: Outcome[Delegation]) -> Problem | None:
    """Return why no response to the request for the well-known arrived, or None if one did."""
    delegation = found(outcome)
    if delegation and delegation.response:
        return None
    if isinstance(outcome, Failed):
        return outcome.problems[0]
    absent = delegation.absent_because if delegation else None
    return Problem(absent, "nothing answers there") if absent else None


def well_known_large(report: Report) -> Details:
    delegation = found(report.well_known)
    size = delegation.response.body_bytes if delegation and delegation.server and delegation.response else 0
    if size > _LARGE_WELL_KNOWN_BYTES:
        yield f"the well-known has {size} bytes, but some servers read only {_LARGE_WELL_KNOWN_BYTES}"


def well_known_not_200(report: Report) -> Details:
    delegation = found(report.well_known)
    if delegation and delegation.response and 200 < delegation.response.status < 300:
        yield f"status {delegation.response.status}: some servers accept it, but the specification requires 200"


def well_known_insecure_redirect(report: Report) -> Details:
    delegation = found(report.well_known)
    if delegation and delegation.response and delegation.response.insecure:
        yield "it is redirected to plain http, where anyone on the way can change it; peers follow all the same"


def well_known_cache_out_of_bounds(report: Report) -> Details:
    delegation = found(report.well_known)
    announced = delegation.response.announced_seconds if delegation and delegation.response else None
    if delegation and delegation.server and announced is not None and announced not in _CACHE_SECONDS:
        bounds = f"{_CACHE_SECONDS[0]} to {_CACHE_SECONDS[-1]}"
        yield f"its headers allow caching for {announced} seconds, but peers cache it for {bounds}"


def address_lookup_partial(report: Report) -> Details:
    """A or AAAA cannot be looked up, of the server name or of a target. The probe went on with the other one.

    An answer that is missing says nothing if the exporter itself was late to read it.
    """
    lookups = [outcome.partial_lookups for outcome in (found(report.well_known), found(report.dns)) if outcome]
    for problem in dict.fromkeys(chain.from_iterable(lookups)):
        is_late = report.timings_unreliable and problem.reason is Reason.DNS_TIMEOUT
        if not isinstance(problem, ResourceShortage) and not is_late:
            yield f"{problem.detail}; the probe went on with the other IP family"


def ipv4_broken(report: Report) -> Details:
    return _family_broken(report, IPFamily.IPV4)


def ipv6_broken(report: Report) -> Details:
    return _family_broken(report, IPFamily.IPV6)


def _family_broken(report: Report, family: IPFamily) -> Details:
    """A family that is broken while the other one works. If neither works, the family is not what is wrong."""
    counts = healthy_by_family(report)
    total, healthy = counts.pop(family, (0, 0))
    if total and not healthy and any(others for _, others in counts.values()):
        yield f"0 of {total} endpoints passed every stage, but the other IP family works"


def some_endpoints_broken(report: Report) -> Details:
    broken = [endpoint.endpoint.address for endpoint in report.endpoints if not endpoint.ok]
    if broken and len(broken) < len(report.endpoints):
        yield f"{len(broken)} of {len(report.endpoints)} endpoints failed a stage: {', '.join(broken)}"


def no_failover(report: Report) -> Details:
    """A peer that has connected to a broken address does not go on to the next one of the target."""
    for target in report.route.targets:
        faults = {
            seen.endpoint.address: peers.fault_at(seen)
            for seen in report.endpoints
            if seen.endpoint.target == target and seen.accepts
        }
        broken = [f"{address} ({fault.stage}: {fault.problem.reason})" for address, fault in faults.items() if fault]
        if broken and len(broken) < len(faults):
            yield f"some addresses of {target} accept connections and then fail, others work: {', '.join(broken)}"


def tls_version_old(report: Report) -> Details:
    for connection, sessions in tls_sessions(report).items():
        if old := sorted({session.tls_version for session in sessions} & _OLD_TLS_VERSIONS):
            yield f"{connection}: {', '.join(old)}"


def tls_cipher_old(report: Report) -> Details:
    for connection, sessions in tls_sessions(report).items():
        for cipher in sorted({each.cipher for each in sessions if each.cipher and each.tls_version == "TLSv1.2"}):
            if names := peers.names_without_cipher(cipher):
                yield f"{connection}: {cipher}, which is not offered by {peers.join_names(names)}"


def header_line_long(report: Report) -> Details:
    delegation = found(report.well_known)
    shapes = {"the well-known": delegation.response.shape if delegation and delegation.response else None} | {
        f"the keys at {seen.endpoint.address}": seen.keys_shape for seen in report.endpoints
    }
    for response, shape in shapes.items():
        if shape and shape.longest_line > _LONG_HEADER_LINE_BYTES:
            limit = f"Synapse reads only {_LONG_HEADER_LINE_BYTES}"
            yield f"{response}: a header line has {shape.longest_line} bytes, but {limit}"


def key_validity_short(report: Report) -> Details:
    """Many servers publish keys that are valid for exactly an hour, of which some seconds have passed at the end."""
    if keys := signing_keys(report):
        ahead = keys.valid_until - report.ended_at
        allowed = timedelta(seconds=report.seconds) + _CLOCK_DIFFERENCE
        if timedelta() < ahead < _KEY_VALIDITY_AHEAD - allowed:
            yield f"valid_until_ts is {ahead // timedelta(minutes=1)} minutes ahead, expected at least 60"


def keys_differ(report: Report) -> Details:
    key_sets = {frozenset(keys.keys.items()) for keys in _published_keys(report)}
    if len(key_sets) > 1:
        yield f"the endpoints publish {len(key_sets)} different sets of keys"


def keys_content_type(report: Report) -> Details:
    types = {keys.content_type for keys in _published_keys(report)}
    if wrong := sorted(content_type or "missing" for content_type in types - {"application/json"}):
        yield f"Content-Type is {', '.join(wrong)}, expected application/json"


def old_key_inconsistent(report: Report) -> Details:
    if faults := tuple(dict.fromkeys(fault for keys in _published_keys(report) for fault in keys.old_key_faults)):
        yield "; ".join(faults[:_MAX_OLD_KEY_FAULTS])


def host_with_port_differs(report: Report) -> Details:
    for endpoint in report.endpoints:
        if endpoint.deep and endpoint.deep.host_with_port_differs:
            yield f"{endpoint.endpoint.address}: {endpoint.deep.host_with_port_differs}"


def intermediary(report: Report) -> Details:
    """What answers in the homeserver's place may let peers pass, or only some of them, or none."""
    stages: dict[str, dict[Stage, Intermediary]] = {}
    for located in problems(report):
        if isinstance(located.problem, UnexpectedResponse) and (who := located.problem.response.intermediary):
            stages.setdefault(who.name, {}).setdefault(located.stage, who)
    for seen in stages.values():
        first, where = next(iter(seen.values())), ", ".join(seen)
        yield f"{first} answers in the homeserver's place, or changes its answers: {where}"
    for endpoint in report.endpoints:
        if endpoint.filtered:
            yield f"{endpoint.endpoint.address}: a filter lets only the User-Agent of a homeserver pass"


def outbound_by_notary_only(report: Report) -> Details:
    if report.outbound and report.outbound.by_notary_only:
        yield report.outbound.by_notary_only


def outbound_ipv4_broken(report: Report) -> Details:
    """Most servers can be reached over IPv4, so nobody does without on purpose."""
    return _outbound_family_broken(report, IPFamily.IPV4)


def outbound_ipv6_broken(report: Report) -> Details:
    """A server without IPv6 addresses of its own does without on purpose."""
    resolution = found(report.dns)
    endpoints = (*resolution.endpoints, *resolution.without_route) if resolution else ()
    if any(each.ip_family is IPFamily.IPV6 for each in endpoints):
        yield from _outbound_family_broken(report, IPFamily.IPV6)


def _outbound_family_broken(report: Report, family: IPFamily) -> Details:
    """If the server does not come at all, the family is not what is wrong."""
    look = report.outbound
    if look and isinstance(look.outcome, Passed) and isinstance(outcome := look.by_family.get(family), Failed):
        details = "; ".join(problem.detail for problem in outcome.problems)
        yield f"it does not reach the exporter over {family.written}, but over the other IP family: {details}"


def notary_disagrees(report: Report) -> Details:
    """Peers that rely on the notary reject what this server signs."""
    outcomes = [result.outcome for result in report.deep.notaries] if report.deep else []
    complaints = [problem.detail for outcome in outcomes if isinstance(outcome, Failed) for problem in outcome.problems]
    if complaints:
        yield "; ".join(complaints)


def _published_keys(report: Report) -> Iterator[SigningKeys]:
    for endpoint in report.endpoints:
        if keys := found(endpoint.keys):
            yield keys


def _join_targets(targets: tuple[Target, ...]) -> str:
    return ", ".join(str(target) for target in targets)
