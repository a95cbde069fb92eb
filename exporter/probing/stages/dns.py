"""Stage `dns`: A and AAAA of every target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from exporter.model import names
from exporter.model.addresses import Endpoint, IPAddress, Target
from exporter.model.findings import Resolution
from exporter.model.outcomes import Problem
from exporter.model.reasons import Reason
from exporter.probing import problems
from exporter.probing.attempt import Failure, gather_all
from exporter.probing.evidence import Addresses
from exporter.probing.network import Network
from exporter.probing.problems import Step

MAX_ADDRESSES = 16  # of one target: no real server has more, and every one is dialled
MAX_ENDPOINTS = 32


async def fetch(network: Network, targets: Sequence[Target]) -> dict[Target, Addresses]:
    answers = await gather_all(_resolve(network, target) for target in targets)
    return dict(zip(targets, answers, strict=True))


async def _resolve(network: Network, target: Target) -> Addresses:
    """An IP literal is its own address."""
    if ip := names.ip_literal(target.host):
        return Addresses(target.host, (ip,))
    return await network.addresses(target.host, target.port)


def evaluate(found: Mapping[Target, Addresses], *, aliases_allowed: bool) -> Resolution | Failure[Resolution]:
    """Passed where there is any address to dial. Targets may share one: it is dialled once."""
    endpoints: dict[tuple[IPAddress, int], Endpoint] = {}
    for target, addresses in found.items():
        behind_alias = not aliases_allowed and _is_alias(target, addresses)
        for ip in addresses.ips[:MAX_ADDRESSES]:
            endpoints.setdefault((ip, target.port), Endpoint(target, ip, behind_alias))
    unresolved = tuple(_no_address(target, addresses) for target, addresses in found.items() if not addresses.ips)
    aliases = {
        target.host: addresses.canonical_name for target, addresses in found.items() if _is_alias(target, addresses)
    }
    resolved = Resolution(tuple(islice(endpoints.values(), MAX_ENDPOINTS)), unresolved, aliases)
    return resolved if endpoints else Failure(unresolved, resolved)


def _is_alias(target: Target, addresses: Addresses) -> bool:
    return addresses.canonical_name.lower() != target.host.lower()


def _no_address(target: Target, addresses: Addresses) -> Problem:
    """Why a target without addresses has none."""
    if addresses.failures:
        named = problems.classify(addresses.failures[0], Step.DNS)
        return replace(named, detail=f"{target.host}: {named.detail}")
    if not addresses.exists:
        return Problem(Reason.NXDOMAIN, f"{target.host} does not exist in DNS")
    return Problem(Reason.NO_ADDRESSES, f"{target.host} has neither an A nor an AAAA record")
