"""Which IP families this machine has: in network namespaces that have one, both or none."""

import json
from collections.abc import Sequence
from typing import Final

import pytest

from exporter.internet import Internet
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import IPFamily
from tests.addresses import ip_endpoint
from tests.internet.without_ipv6 import DUAL_STACK, IPV6_ONLY
from tests.namespaces import CABLE, IPV4, IPV6, run_python

FAMILIES: Final = "from exporter.internet import families_with_route; print(*sorted(families_with_route()))"
PROBE: Final = "import runpy; runpy.run_module('tests.internet.without_ipv6', run_name='__main__')"


@pytest.mark.system("ip")
@pytest.mark.parametrize(
    ("setup", "families"),
    [
        ((), ""),
        (IPV4, "ipv4"),
        (IPV6, "ipv6"),
        ((*IPV4, *IPV6[len(CABLE) :]), "ipv4 ipv6"),
        ((*CABLE, "ip addr add 10.9.0.2/16 dev left"), ""),
        ((*CABLE, "ip -6 route add default dev left"), ""),
    ],
    ids=["loopback", "IPv4", "IPv6", "both", "private", "link-local"],
)
def test_a_family_needs_a_route_to_the_internet(setup: Sequence[str], families: str) -> None:
    """A route of IPv6 is worth nothing without an address that is known beyond the link."""
    assert run_python(FAMILIES, setup) == families


@pytest.mark.system("ip")
@pytest.mark.lab
def test_nobody_is_blamed_for_a_family_that_the_exporter_lacks() -> None:
    """A server of both families is judged by the other one; a report on a server of that family alone says nothing."""
    assert json.loads(run_python(PROBE)) == {
        DUAL_STACK: {
            "federates": True,
            "says nothing": False,
            "without route": ["[2001:db8::14]:8448"],
            "warnings": [],
        },
        IPV6_ONLY: {
            "federates": False,
            "says nothing": True,
            "without route": ["[2001:db8::13]:8448"],
            "warnings": [],
        },
    }


@pytest.mark.system("ip")
@pytest.mark.lab
@pytest.mark.silence
def test_addresses_that_the_exporter_has_a_route_to_are_probed() -> None:
    """Here, nobody is at home in the network of the IPv6 addresses."""
    found = json.loads(run_python(PROBE, (*CABLE, "ip addr add 2001:db8::2/64 dev left nodad")))
    assert found[DUAL_STACK] == {
        "federates": True,
        "says nothing": False,
        "without route": [],
        "warnings": ["ipv6_broken", "some_endpoints_broken"],
    }
    assert not found[IPV6_ONLY]["says nothing"]


# ---------------------------------------------------------------- configured families, redirections, the policy

IPV6_ENDPOINT: Final = Endpoint(Target("hs.test", 8448), ip_endpoint("[2001:503:ba3e::2:30]:0")[0])
LOOPBACK: Final = Endpoint(Target("hs.test", 8448), ip_endpoint("127.0.0.1:0")[0])


@pytest.mark.parametrize("families", [(IPFamily.IPV4,), (IPFamily.IPV6,), tuple(IPFamily)])
def test_configured_families_are_used_and_no_others(families: Sequence[IPFamily]) -> None:
    """Whatever the routes are, and even where a connection is redirected."""
    internet = Internet(timeout=1.0, ip_families=families, connect_to={LOOPBACK.address: ip_endpoint("127.0.0.1:1")})
    assert internet.has_route(IPV6_ENDPOINT) is (IPFamily.IPV6 in families)
    assert internet.has_route(LOOPBACK) is (IPFamily.IPV4 in families)


def test_a_redirected_address_needs_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes elsewhere. An address that the policy refuses is refused in any case."""
    monkeypatch.setattr("exporter.internet._has_route", lambda _: False)
    assert Internet(timeout=1.0, connect_to={"hs.test:8448": ip_endpoint("127.0.0.1:1")}).has_route(IPV6_ENDPOINT)
    assert Internet(timeout=1.0).has_route(LOOPBACK)
    assert not Internet(timeout=1.0).has_route(IPV6_ENDPOINT)
