"""The addresses of every target."""

from ipaddress import ip_address

import pytest

from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import IPFamily
from exporter.model.findings import Resolution
from exporter.model.outcomes import NoRoute, Problem
from exporter.model.reasons import Reason
from exporter.probing.attempt import Failure
from exporter.probing.evidence import Addresses
from exporter.probing.network import DnsTimeoutError
from exporter.probing.stages.dns import MAX_ADDRESSES, MAX_ENDPOINTS, evaluate, fetch
from tests.fake_world import FakeNetwork

HS, SPARE = Target("hs.test", 8448), Target("spare.test", 8449)
V4, V6, OTHER = ip_address("192.0.2.1"), ip_address("2001:db8::1"), ip_address("192.0.2.2")
TIMED_OUT = DnsTimeoutError("no resolver answers")


async def test_looks_up_names_but_not_addresses() -> None:
    """An IP literal is its own address."""
    network = FakeNetwork(hosts={"hs.test": ("192.0.2.1",)})
    literal = Target("2001:db8::1", 80)
    assert await fetch(network, [HS, literal]) == {
        HS: Addresses("hs.test", (V4,)),
        literal: Addresses("2001:db8::1", (V6,)),
    }
    assert network.calls == ["addresses hs.test 8448"]


async def test_a_target_with_a_colon_is_a_name() -> None:
    """DNS allows colons in names."""
    odd = Target("hs:8448.test", 8448)
    assert await fetch(FakeNetwork(), [odd]) == {odd: Addresses("hs:8448.test", (), exists=False)}


def test_every_address_is_an_endpoint() -> None:
    """Endpoints are in the order of the targets."""
    lookups = {SPARE: Addresses("spare.test", (OTHER,)), HS: Addresses("hs.test", (V4, V6))}
    expected = Resolution((Endpoint(SPARE, OTHER), Endpoint(HS, V4), Endpoint(HS, V6)))
    assert evaluate(lookups, aliases_allowed=True) == expected


def test_an_address_that_two_targets_share_is_dialled_once() -> None:
    """The same address with another port is another endpoint."""
    again, other_port = Target("again.test", 8448), Target("hs.test", 443)
    lookups = {target: Addresses(target.host, (V4,)) for target in (HS, again, other_port)}
    assert evaluate(lookups, aliases_allowed=True) == Resolution((Endpoint(HS, V4), Endpoint(other_port, V4)))


@pytest.mark.parametrize(("allowed", "marked"), [(True, False), (False, True)])
def test_aliases_are_listed_and_marked_if_forbidden(*, allowed: bool, marked: bool) -> None:
    """An alias has its addresses in any case."""
    lookups = {HS: Addresses("real.test", (V4,))}
    assert evaluate(lookups, aliases_allowed=allowed) == Resolution(
        (Endpoint(HS, V4, behind_alias=marked),), (), {"hs.test": "real.test"}
    )


def test_a_different_case_is_not_an_alias() -> None:
    """DNS names are case-insensitive."""
    target = Target("HS.test", 8448)
    assert evaluate({target: Addresses("hs.TEST", (V4,))}, aliases_allowed=False) == Resolution((Endpoint(target, V4),))


MISSING = Problem(Reason.NXDOMAIN, "hs.test does not exist in DNS")


@pytest.mark.parametrize(
    ("addresses", "problem"),
    [
        (Addresses("hs.test", (), exists=False), MISSING),
        (
            Addresses("gone.test", (), exists=False),
            Problem(Reason.NXDOMAIN, "hs.test is an alias (CNAME) of gone.test, which does not exist in DNS"),
        ),
        (
            Addresses("bare.test", ()),
            Problem(
                Reason.NO_ADDRESSES,
                "hs.test is an alias (CNAME) of bare.test, which has neither an A nor an AAAA record",
            ),
        ),
        (Addresses("hs.test", ()), Problem(Reason.NO_ADDRESSES, "hs.test has neither an A nor an AAAA record")),
        (
            Addresses("hs.test", (), failures=(TIMED_OUT,)),
            Problem(Reason.DNS_TIMEOUT, "hs.test: no resolver answers"),
        ),
    ],
)
def test_says_why_there_is_no_address(addresses: Addresses, problem: Problem) -> None:
    """The stage fails if no target has an address."""
    failure = evaluate({HS: addresses}, aliases_allowed=True)
    assert isinstance(failure, Failure)
    assert failure.problems == (problem,)
    assert failure.found
    assert (failure.found.endpoints, failure.found.unresolved) == ((), (problem,))


def test_passes_if_any_target_has_an_address() -> None:
    """Targets without an address are listed with their problem. One family is enough, even if the other one failed."""
    lookups = {
        HS: Addresses("hs.test", (), exists=False),
        SPARE: Addresses("spare.test", (OTHER,), failures=(TIMED_OUT,)),
    }
    half = Problem(Reason.DNS_TIMEOUT, "spare.test: no resolver answers")
    expected = Resolution((Endpoint(SPARE, OTHER),), (MISSING,), partial_lookups=(half,))
    assert evaluate(lookups, aliases_allowed=True) == expected


NO_ROUTE = NoRoute(Reason.UNREACHABLE, "the exporter's own machine has no route to hs.test over IPv6")


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("192.0.2.1", "2001:db8::1"), Resolution((Endpoint(HS, V4),), without_route=(Endpoint(HS, V6),))),
        (("2001:db8::1",), Failure((NO_ROUTE,), Resolution((), without_route=(Endpoint(HS, V6),)))),
    ],
)
async def test_addresses_without_a_route_are_no_endpoints(
    hosts: tuple[str, ...], expected: Resolution | Failure[Resolution]
) -> None:
    """Without the other family, nothing can be said about the server."""
    network = FakeNetwork(hosts={"hs.test": hosts})
    network.families_without_route = {IPFamily.IPV6}
    assert evaluate(await fetch(network, [HS]), aliases_allowed=True) == expected


async def test_an_ip_literal_needs_a_route_too() -> None:
    """It is not looked up."""
    network, literal = FakeNetwork(), Target("2001:db8::1", 8448)
    network.families_without_route = {IPFamily.IPV6}
    failure = evaluate(await fetch(network, [literal]), aliases_allowed=True)
    assert isinstance(failure, Failure)
    assert [type(problem) for problem in failure.problems] == [NoRoute]


def test_the_number_of_endpoints_is_bounded() -> None:
    """There is a bound for each target, and one for all targets together."""
    flood = tuple(ip_address(f"2001:db8::{number:x}") for number in range(1, 1000))
    one = evaluate({HS: Addresses("hs.test", flood)}, aliases_allowed=True)
    assert one == Resolution(tuple(Endpoint(HS, ip) for ip in flood[:MAX_ADDRESSES]))
    many = {Target("hs.test", port): Addresses("hs.test", flood) for port in range(1, 20)}
    resolution = evaluate(many, aliases_allowed=True)
    assert isinstance(resolution, Resolution)
    assert len(resolution.endpoints) == MAX_ENDPOINTS
