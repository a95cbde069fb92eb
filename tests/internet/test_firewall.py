"""Firewalls that reject connections, and routers without a route: what the kernel makes of their ICMP messages."""

import json
from typing import Final

import pytest

from exporter.model.reasons import Reason
from tests.namespaces import BEHIND_ROUTER, run_python

REJECTED: Final = Reason.CONNECT_PROHIBITED


@pytest.mark.system("ip")
@pytest.mark.parametrize("run", ["asyncio.run", "event_loop.run"])
def test_a_firewall_that_rejects_is_told_apart_from_a_missing_route(run: str) -> None:
    """For IPv4, the kernel has one error number for both."""
    code = (
        f"import asyncio; from exporter.runtime import event_loop; from tests.internet import dial; {run}(dial.main())"
    )
    assert json.loads(run_python(code, BEHIND_ROUTER)) == {
        "203.0.113.5:8448": [
            REJECTED,
            "a firewall rejects it: 10.0.0.2 answers that it is administratively prohibited (ICMP)",
        ],
        "[2001:db9:1::5]:8448": [REJECTED, "a firewall rejects it (ICMPv6: administratively prohibited)"],
        "198.51.100.5:8448": [Reason.UNREACHABLE, "No route to host"],
        "[2001:db9:2::5]:8448": [Reason.UNREACHABLE, "Network is unreachable"],
    }
