"""Takes all local ports of its network namespace, then dials an address and looks a name up. Prints both as JSON."""

import asyncio
import json
import socket
import sys
from contextlib import ExitStack, closing
from ipaddress import ip_address

from dns.rdatatype import RdataType

from exporter.internet import Internet
from exporter.internet.address_policy import AddressPolicy
from exporter.internet.dns_message import Query
from exporter.internet.dns_transport import query_over_tcp
from exporter.model.addresses import Endpoint, Target
from exporter.model.outcomes import Failed, Problem
from exporter.probing import problems
from exporter.probing.attempt import Deadline, attempt, identity
from exporter.probing.problems import Step

NUMBER_OF_PORTS = 4
_SECONDS = 60.0
_IP, _PORT = ip_address("127.0.0.1"), 9000


def _take_all_ports(stack: ExitStack) -> None:
    server = stack.enter_context(socket.create_server((str(_IP), _PORT)))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for _ in range(NUMBER_OF_PORTS):
            stack.enter_context(closing(socket.socket(socket.AF_INET, kind))).connect(server.getsockname())


async def main() -> None:
    internet = Internet(timeout=_SECONDS, resolvers=lambda: [(_IP, _PORT)], policy=AddressPolicy(public_only=False))
    with ExitStack() as stack:
        _take_all_ports(stack)
        found = {
            "tcp": await _dial(internet, Endpoint(Target(str(_IP), _PORT), _IP)),
            "dns": await _look_up(internet),
            "dns over tcp": await _look_up_over_tcp(),
        }
    sys.stdout.write(json.dumps(found))


async def _dial(internet: Internet, endpoint: Endpoint) -> list[str]:
    with closing(internet.connection(endpoint)) as connection:
        outcome = await attempt(Step.TCP, connection.open(), identity, Deadline.for_probe(_SECONDS))
    return _shown(outcome.problems[0]) if isinstance(outcome, Failed) else []


async def _look_up(internet: Internet) -> list[str]:
    addresses = await internet.addresses("example.org", 8448)
    return _shown(problems.classify(addresses.failures[0], Step.DNS))


async def _look_up_over_tcp() -> list[str]:
    query = Query(b"\x07example\x03org\x00", RdataType.A)
    try:
        await query_over_tcp((_IP, _PORT), query, asyncio.get_running_loop().time() + _SECONDS)
    except OSError as error:
        return _shown(problems.classify(error, Step.DNS))
    return []


def _shown(problem: Problem) -> list[str]:
    return [type(problem).__name__, problem.reason, problem.detail]


if __name__ == "__main__":
    asyncio.run(main())
