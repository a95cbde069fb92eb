"""Stage `dns`: the A and AAAA records of every target."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from exporter.model import names
from exporter.model.addresses import Endpoint, IPAddress, Target
from exporter.model.findings import Resolution
from exporter.model.outcomes import NoRoute, Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing import problems
from exporter.probing.attempt import Failure, gather_all
from exporter.probing.evidence import Addresses
from exporter.probing.network import Network
from exporter.probing.problems import Step

MAX_ADDRESSES = 24  # of one target: hardly any server has more, and every one is dialled
MAX_PORTS = 4  # of one address: a server must not make the exporter connect to somebody else's again and again
MAX_ENDPOINTS = 24  # peers reach a server of which one address among 20 works
_MAX_NAME_CHARACTERS = 255  # shown of the target of an alias


async def fetch(network: Network, targets: Sequence[Target]) -> dict[Target, Addresses]:
    """Look up all targets at once. The addresses are in the order of the targets."""
    addresses = await gather_all(_resolve(network, target) for target in targets)
    return dict(zip(targets, addresses, strict=True))


async def _resolve(network: Network, target: Target) -> Addresses:
    """Return the addresses of one target. An IP literal is its own address."""
    literal = names.ip_literal(target.host)
    addresses = Addresses(target.host, (literal,)) if literal else await network.addresses(target.host, target.port)
    dialled = addresses.ips[:MAX_ADDRESSES]
    without_route = frozenset(ip for ip in dialled if not network.has_route(Endpoint(target, ip)))
    return replace(addresses, without_route=without_route) if without_route else addresses


def evaluate(lookups: Mapping[Target, Addresses], *, aliases_allowed: bool) -> Resolution | Failure[Resolution]:
    """Return the endpoints. The stage fails only if no target has an address.

    Targets may share an address and a port, which is dialled once. `aliases_allowed` is false for SRV targets.
    """
    endpoints: dict[tuple[IPAddress, int], Endpoint] = {}
    without_route: list[Endpoint] = []
    for target, addresses in lookups.items():
        behind_alias = not aliases_allowed and _is_alias(target, addresses)
        for ip in addresses.ips[:MAX_ADDRESSES]:
            endpoint = Endpoint(target, ip, behind_alias)
            if ip in addresses.without_route:
                without_route.append(endpoint)
            else:
                endpoints.setdefault((ip, target.port), endpoint)
    unresolved = tuple(_no_address(target, addresses) for target, addresses in lookups.items() if not addresses.ips)
    aliases = {
        target.host: addresses.canonical_name for target, addresses in lookups.items() if _is_alias(target, addresses)
    }
    partial = dict.fromkeys(
        _lookup_problem(target, failure)
        for target, addresses in lookups.items()
        for failure in addresses.failures
        if addresses.ips
    )
    dialled = tuple(islice(_with_few_ports(endpoints.values()), MAX_ENDPOINTS))
    resolution = Resolution(dialled, unresolved, aliases, tuple(partial), tuple(without_route[:MAX_ENDPOINTS]))
    return resolution if endpoints else Failure(_no_routes(without_route) or unresolved, resolution)


def _with_few_ports(endpoints: Iterable[Endpoint]) -> Iterator[Endpoint]:
    """Yield the first MAX_PORTS endpoints of each address."""
    ports = Counter[IPAddress]()
    for endpoint in endpoints:
        ports[endpoint.ip] += 1
        if ports[endpoint.ip] <= MAX_PORTS:
            yield endpoint


def _no_routes(without_route: Sequence[Endpoint]) -> tuple[Problem, ...]:
    """Return why nothing can be dialled although there are addresses, one problem for each host; none otherwise."""
    families: dict[str, list[str]] = {}
    for endpoint in without_route:
        families.setdefault(endpoint.target.host, []).append(endpoint.ip_family.written)
    return tuple(
        NoRoute(
            Reason.UNREACHABLE, f"the exporter's own machine has no route to {host} over {' or '.join(sorted(set(of)))}"
        )
        for host, of in families.items()
    )


def _is_alias(target: Target, addresses: Addresses) -> bool:
    return addresses.canonical_name.lower() != target.host.lower()


def _no_address(target: Target, addresses: Addresses) -> Problem:
    """Return why a target has no address: its lookup failed, it does not exist, or it has no A and no AAAA record.

    If it is an alias, this is about the name that the alias leads to.
    """
    if addresses.failures:
        return _lookup_problem(target, addresses.failures[0])
    name = target.host
    if _is_alias(target, addresses):
        name += f" is an alias (CNAME) of {printable(addresses.canonical_name, _MAX_NAME_CHARACTERS)}, which"
    if not addresses.exists:
        return Problem(Reason.NXDOMAIN, f"{name} does not exist in DNS")
    return Problem(Reason.NO_ADDRESSES, f"{name} has neither an A nor an AAAA record")


def _lookup_problem(target: Target, failure: Exception) -> Problem:
    problem = problems.classify(failure, Step.DNS)
    return replace(problem, detail=f"{target.host}: {problem.detail}")
