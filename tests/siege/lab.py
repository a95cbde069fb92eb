"""`python -m tests.siege.lab good|hostile SIZE ATTACK…` runs the servers of the siege; its first line is what to
configure.

The hostile ones have a process of their own, of low priority, so that they do not delay the good ones. The good ones
have the DNS server for both. Each line of input is a command: `silence NAME` or `speak NAME`.
"""

import asyncio
import json
import sys
from collections.abc import Collection
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from exporter.demo.federation import Federation
from exporter.demo.listener import LOOPBACK, free_port
from tests.lab.crowd import crowd
from tests.lab.ports import stall
from tests.server_lists.serving import serving
from tests.siege import lists
from tests.siege.attacks import LISTS, servers_of
from tests.siege.servers import restless, slow

SILENCE, SPEAK = "silence", "speak"
OWN_NAME, _OWN_IP = "exporter.siege.test", ip_address("192.0.2.240")
SLOW = 2


async def serve_good(size: int, attacks: Collection[str]) -> None:
    """So many servers that are always healthy, as many restless ones, and all names. All connect to the exporter."""
    names_only = (replace(server, ports={}, on_started=None) for server in servers_of(attacks))
    async with Federation((*crowd(size), *restless(size), *slow(SLOW), *names_only)) as federation:
        port = free_port()
        certificate = federation.introduce({OWN_NAME: [_OWN_IP]}, port)
        _say(federation.config() | {"peer": {"listen": f"{LOOPBACK}:{port}", "pem": certificate.pem.decode()}})
        listening = {server.server_name: federation.server(server.server_name) for server in restless(size)}
        handlers = {name: server.listener._listener.handler for name, server in listening.items()}
        while command := await _next_line():
            deed, name = command.split()
            listening[name].listener._listener.handler = stall if deed == SILENCE else handlers[name]


async def serve_hostile(_: int, attacks: Collection[str]) -> None:
    async with Federation(servers_of(attacks)) as federation, serving(lists.respond) as list_server:
        _say(federation.config() | {"lists_at": list_server.url if LISTS in attacks else ""})
        while await _next_line():
            pass


async def _next_line() -> str:
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


def _say(what: Any) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    kind, size, *attacks = sys.argv[1:]
    asyncio.run({"good": serve_good, "hostile": serve_hostile}[kind](int(size), attacks))
