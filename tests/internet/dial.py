"""Connects to addresses behind `BEHIND_ROUTER`, and prints the problems as JSON."""

import json
import sys
from contextlib import closing

from exporter.internet import Internet
from exporter.internet.address_policy import AddressPolicy
from exporter.model.addresses import Endpoint, Target
from exporter.model.outcomes import Failed
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.problems import Step
from tests.addresses import ip_endpoint

ADDRESSES = ("203.0.113.5:8448", "[2001:db9:1::5]:8448", "198.51.100.5:8448", "[2001:db9:2::5]:8448")
_SECONDS = 60.0


async def main() -> None:
    internet = Internet(timeout=_SECONDS, policy=AddressPolicy(public_only=False))
    sys.stdout.write(json.dumps({address: await _dial(internet, address) for address in ADDRESSES}))


async def _dial(internet: Internet, address: str) -> list[str]:
    """Return the reason and the detail."""
    ip, port = ip_endpoint(address)
    with closing(internet.connection(Endpoint(Target(str(ip), port), ip))) as connection:
        outcome = await attempt(Step.TCP, connection.open(), identity, Deadline.for_probe(_SECONDS))
    return [outcome.problems[0].reason, outcome.problems[0].detail] if isinstance(outcome, Failed) else []
