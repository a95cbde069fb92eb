"""Checks that other servers can reach the exporter's own listener, before any of them is blamed for not doing so."""

from urllib.parse import quote

from exporter.judging import verdict
from exporter.model.outcomes import Problem, found
from exporter.model.report import EndpointReport, Report
from exporter.outbound.exchange import exchange, getting
from exporter.outbound.peer import Peer, Purpose
from exporter.probing.attempt import Deadline
from exporter.probing.network import Network
from exporter.probing.parsing.json_response import summarize
from exporter.probing.prober import SupportsProbe
from exporter.probing.stages import directory

_SECONDS = 20.0  # for the signed request


async def find_obstacle(prober: SupportsProbe, network: Network, peer: Peer) -> str | None:
    """Return why other servers cannot reach the listener under a name; None if they can. There are five cases:

    - a probe of the exporter's own name fails: its first problem;
    - a name for one IP family has addresses of the other one;
    - another server answers under that name;
    - a signed request does not arrive as it was sent;
    - nothing is wrong: None.
    """
    report = await prober.probe(peer.name)
    if problem := _problem_of(report):
        return problem
    if other := _address_of_other_family(report, peer):
        return f"it has an address of the other IP family too, {other}: remove that from DNS"
    strangers = [each.endpoint.address for each in report.endpoints if not _publishes(each, peer)]
    if strangers:
        return f"{', '.join(strangers)} publishes other keys than the exporter's: another server answers there"
    return await _send_signed(network, report, peer)


def _problem_of(report: Report) -> str | None:
    problems = verdict.problems(report)
    if verdict.federates(report) and all(each.ok for each in report.endpoints):
        return None
    first = problems[0] if problems else None
    where = f" at {first.endpoint.address}" if first and first.endpoint else ""
    return (
        f"{first.stage}{where}: {first.problem.reason}: {first.problem.detail}" if first else "no address of it answers"
    )


def _address_of_other_family(report: Report, peer: Peer) -> str | None:
    """Return an address of the name that is not of its IP family, so that servers may connect over the other one."""
    resolution = found(report.dns)
    endpoints = (*resolution.endpoints, *resolution.without_route) if resolution else ()
    return next((str(each.ip) for each in endpoints if peer.ip_family not in (None, each.ip_family)), None)


def _publishes(endpoint: EndpointReport, peer: Peer) -> bool:
    published = found(endpoint.keys)
    return published is not None and published.keys.get(peer.key.key_id) == peer.key.public


async def _send_signed(network: Network, report: Report, peer: Peer) -> str | None:
    """Ask the listener for an alias as another server would, with a signature."""
    with peer.expect(peer.name.text, {peer.key.key_id: peer.key.public}) as expected:
        path = f"{directory.PATH}?room_alias={quote(peer.alias(expected), safe='')}"
        send = getting(path, report.route.host_header, peer.key.authorization(path, peer.name.text))
        response = await exchange(network, report, report.endpoints[0], send, Deadline.for_probe(_SECONDS))
    if isinstance(response, Problem):
        return f"a signed request gets no answer: {response.reason}: {response.detail}"
    arrival = expected.came(Purpose.ALIAS)
    if arrival is None:
        return f"a signed request does not arrive at the listener: {summarize(response)}"
    return arrival.complaint and f"a signed request arrives at the listener, but {arrival.complaint}"
