"""The attacks: what the exporter is configured with, what its servers do, and who asks it meanwhile."""

from collections.abc import Collection
from dataclasses import dataclass

from exporter.demo.servers import LabServer
from tests.lab.hostile import HOSTILE_SERVERS
from tests.siege import clients
from tests.siege.clients import Crowd
from tests.siege.hostile_tls import EXPENSIVE_SERVERS, FLOODING_SERVERS, RENEGOTIATING_SERVERS
from tests.siege.servers import BABBLING_SERVERS, CROWDED_SERVERS, POINTING_SERVERS

_NTH = 4
_ALONE = tuple(server for server in HOSTILE_SERVERS if server.on_started is None)


@dataclass(frozen=True, slots=True)
class Attack:
    shows: str
    servers: tuple[LabServer, ...] = ()
    crowd: Crowd | None = None


LISTS, STANDSTILL, LOG = "lists", "standstill", "log"
"""Attacks that are neither servers nor clients: hostile server lists, a worker that is stopped, and a log that nobody
reads.
"""

ATTACKS: dict[str, Attack] = {
    "impatience": Attack("probes of slow servers without time", crowd=Crowd(clients.probe_impatiently, 3, "127.1")),
    "key-updates": Attack("KeyUpdates without end from clients", crowd=Crowd(clients.update_keys, 8, "127.2")),
    "tls-floods": Attack("KeyUpdates and session tickets without end from servers", FLOODING_SERVERS),
    "renegotiation": Attack("second handshakes with 45,000 names", RENEGOTIATING_SERVERS),
    "chains": Attack("chains that are expensive to verify", EXPENSIVE_SERVERS),
    "texts": Attack("documents of new texts", BABBLING_SERVERS),
    STANDSTILL: Attack("a worker that is stopped (SIGSTOP)"),
    LISTS: Attack("lists of invalid, of too many and of new names, and a Synapse without a last page"),
    "passwords": Attack("wrong passwords from 50 addresses", crowd=Crowd(clients.guess_passwords, 50, "127.3")),
    LOG: Attack("a log that nobody reads"),
    "reloads": Attack("reloads without end", crowd=Crowd(clients.reload_without_end, 4, "127.4")),
    "probes": Attack("probes of watched servers without end", crowd=Crowd(clients.probe_without_end, 8, "127.5")),
    "connections": Attack("handshakes that are not finished", crowd=Crowd(clients.connect_without_end, 20, "127.6")),
    "peers": Attack(
        "other servers that nobody made come, and handshakes and KeyUpdates at the listener for them",
        crowd=Crowd(clients.besiege_peer_listener, 12, "127.7", at_peer=True),
    ),
    "crowded": Attack("many names that lead to one address", CROWDED_SERVERS),
    "pointers": Attack("SRV records with chained pointers", POINTING_SERVERS),
    "hostile": Attack(f"every {_NTH}th hostile server of the lab", _ALONE[::_NTH]),
}


def servers_of(names: Collection[str]) -> tuple[LabServer, ...]:
    return tuple(server for name in names for server in ATTACKS[name].servers)
