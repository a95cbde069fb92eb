"""Server discovery, from a name to the addresses to dial: the first half of a probe."""

from dataclasses import dataclass, replace
from functools import partial

from exporter.judging.peers import PEERS, join_names
from exporter.model import routes
from exporter.model.addresses import Endpoint
from exporter.model.findings import Delegation, Resolution, SrvRecords
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Problem, found
from exporter.model.reasons import Reason
from exporter.model.routes import Route
from exporter.probing.attempt import Deadline, attempt
from exporter.probing.network import Network
from exporter.probing.problems import Step
from exporter.probing.stages import dns, srv, well_known


@dataclass(frozen=True, slots=True)
class Discovery:
    """The outcome of each step, and the route that follows from them."""

    well_known: Outcome[Delegation]
    srv: Outcome[SrvRecords]
    route: Route
    dns: Outcome[Resolution]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        resolution = found(self.dns)
        return resolution.endpoints if resolution else ()

    def dead_end(self) -> Problem:
        """Return the problem that left no endpoint. Call this only if there is none."""
        return next(outcome.problems[0] for outcome in (self.dns, self.srv) if isinstance(outcome, Failed))


async def discover(network: Network, name: ServerName, deadline: Deadline) -> Discovery:
    """Find the endpoints of a server. Never raises: every failure is in the outcomes."""
    delegation = await _fetch_well_known(network, name, deadline)
    delegated = valid.server if (valid := found(delegation)) else None
    records = await fetch_srv(network, routes.srv_host(name, delegated), deadline)
    route = routes.plan(name, delegated, srv.decisive_records(records))
    resolved = await resolve(network, route, deadline)
    return Discovery(delegation, srv.evaluate_targets(records, found(resolved) or Resolution(())), route, resolved)


async def _fetch_well_known(network: Network, name: ServerName, deadline: Deadline) -> Outcome[Delegation]:
    if not routes.uses_well_known(name):
        return SKIPPED
    return _name_who_copes(await well_known.run(network, name, deadline.for_stage()))


def _name_who_copes(outcome: Outcome[Delegation]) -> Outcome[Delegation]:
    """Add to the problem of an invalid delegation which implementations follow it all the same."""
    if not isinstance(outcome, Failed) or outcome.problems[0].reason is not Reason.INVALID_DELEGATION:
        return outcome
    coping = [peer.name for peer in PEERS if isinstance(peer.delegated_server(outcome), ServerName)]
    if not coping:
        return outcome
    problem, *others = outcome.problems
    problem = replace(problem, detail=f"{problem.detail}; {join_names(coping)} cope{'s' * (len(coping) == 1)} with it")
    return replace(outcome, problems=(problem, *others))


async def fetch_srv(network: Network, host: str | None, deadline: Deadline) -> Outcome[SrvRecords]:
    if host is None:
        return SKIPPED
    return await attempt(Step.DNS, srv.fetch(network, host), srv.evaluate, deadline.for_stage())


async def resolve(network: Network, route: Route, deadline: Deadline) -> Outcome[Resolution]:
    if not route.targets:
        return SKIPPED
    evaluate = partial(dns.evaluate, aliases_allowed=route.method not in routes.BY_SRV)
    return await attempt(Step.DNS, dns.fetch(network, route.targets), evaluate, deadline.for_stage())
