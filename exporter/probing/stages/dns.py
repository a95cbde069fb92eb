"""Stage `dns`: the A and AAAA records of every target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from exporter.model import names
from exporter.model.addresses import Endpoint, IPAddress, Target
from exporter.model.findings import Resolution
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing import problems
from exporter.probing.attempt import Failure, gather_all
from exporter.probing.evidence import Addresses
from exporter.probing.network import Network
from exporter.probing.problems import Step

MAX_ADDRESSES = 24  # of one target: hardly any server has more, and every one is dialled
MAX_ENDPOINTS = 32
_MAX_NAME_CHARACTERS = 255  # shown of the target of an alias


async def fetch(network: Network, targets: Sequence[Target]) -> dict[Target, Addresses]:
    """Look up all targets at once. The addresses are in the order of the targets."""
    addresses = await gather_all(_resolve(network, target) for target in targets)
    return dict(zip(targets, addresses, strict=True))


async def _resolve(network: Network, target: Target) -> Addresses:
    """Return the addresses of one target. An IP literal is its own address."""
    if ip := names.ip_literal(target.host):
        return Addresses(target.host, (ip,))
    return await network.addresses(target.host, target.port)


def evaluate(lookups: Mapping[Target, Addresses], *, aliases_allowed: bool) -> Resolution | Failure[Resolution]:
    """Return the endpoints. The stage fails only if no target has an address.

    Targets may share an address and a port, which is dialled once. `aliases_allowed` is false for SRV targets.
    """
    endpoints: dict[tuple[IPAddress, int], Endpoint] = {}
    for target, addresses in lookups.items():
        behind_alias = not aliases_allowed and _is_alias(target, addresses)
        for ip in addresses.ips[:MAX_ADDRESSES]:
            endpoints.setdefault((ip, target.port), Endpoint(target, ip, behind_alias))
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
    resolution = Resolution(tuple(islice(endpoints.values(), MAX_ENDPOINTS)), unresolved, aliases, tuple(partial))
    return resolution if endpoints else Failure(unresolved, resolution)


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
