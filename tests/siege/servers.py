"""The healthy servers of the siege, those that fall silent now and then, and hostile ones beside those of the lab."""

import secrets
from typing import Any

from exporter.demo.homeserver import Homeserver, JsonObject, sign_as
from exporter.demo.https_server import WELL_KNOWN, Request, Response, json_response
from exporter.demo.servers import FEDERATION_PORT, WELL_KNOWN_PORT, LabServer, Website, federates
from exporter.demo.zone import DnsFault
from exporter.model.addresses import host_port
from exporter.model.enums import Method
from tests.lab.hostile.dns_replies import QUESTION_NAME, change_bytes, only_over_tcp
from tests.lab.ports import listen, stall
from tests.lab.slow import slow_down

SLOW_SECONDS = 0.4  # a healthy server may take so long; an impatient client does not wait for it
_VERSION_TEXTS, _DELEGATION_TEXTS, _KEYS_TEXTS = 100, 300, 2000  # of 136 bytes each: as many as the exporter reads
_POINTERS = 256  # each of which leads to the one before
_SRV_IN, _HEADER_BYTES = b"\0\x21\0\1\0\0\0\x3c", 12
_CROWDED_NAMES, _CROWDED_PORTS, _CROWDED_ADDRESS = 10, 24, "100.91.0.1"


def at(name: str, address: str, shows: str, port: Website | Any, **options: Any) -> LabServer:
    """A server without delegation."""
    ports = {host_port(address, FEDERATION_PORT): port}
    return LabServer(name, shows, Method.DEFAULT_8448, f"{name} A {address}", ports, **options)


# ---------------------------------------------------------------- healthy servers


def restless(count: int) -> tuple[LabServer, ...]:
    """Servers that are healthy until they fall silent."""
    names = (f"r{number}.restless.lab.test" for number in range(1, count + 1))
    return tuple(
        at(name, f"100.100.{number}.1", "a server that falls silent", federates(name))
        for number, name in enumerate(names)
    )


def slow(count: int) -> tuple[LabServer, ...]:
    """Healthy servers that take their time."""
    names = (f"w{number}.slow.lab.test" for number in range(1, count + 1))
    return tuple(
        at(name, f"100.101.{number}.1", "a slow server", federates(name, proxy=slow_down(SLOW_SECONDS)))
        for number, name in enumerate(names)
    )


# ---------------------------------------------------------------- ever-new texts


class _Babbler(Homeserver):
    """Every document has names and texts that nobody has seen before."""

    def version(self) -> Response:
        server = {"name": secrets.token_hex(), "version": secrets.token_hex()}
        return json_response({"server": server} | new_texts(_VERSION_TEXTS))

    def keys(self) -> Response:
        return json_response(sign_as(self, self.unsigned_keys() | new_texts(_KEYS_TEXTS)))


def new_texts(count: int) -> JsonObject:
    """Return members whose names nobody has seen before."""
    return {secrets.token_hex(): secrets.token_hex() for _ in range(count)}


def _babbling(number: int) -> LabServer:
    name, address = f"babbler-{number}.siege.test", f"100.90.{number}.1"

    async def delegate(_: Request) -> Response:
        return json_response({"m.server": host_port(name, FEDERATION_PORT)} | new_texts(_DELEGATION_TEXTS))

    ports = {
        host_port(address, WELL_KNOWN_PORT): Website(name, {WELL_KNOWN: delegate}),
        host_port(address, FEDERATION_PORT): federates(name),
    }
    shows = "documents of new texts"
    return LabServer(name, shows, Method.WELL_KNOWN_PORT, f"{name} A {address}", ports, homeserver=_Babbler)


BABBLING_SERVERS = tuple(_babbling(number) for number in range(10))


# ---------------------------------------------------------------- DNS, and many names at one address


def _send_pointers(wire: bytes) -> bytes:
    """Add SRV records, the target of each of which is a pointer to the target of the one before."""
    question_end = wire.index(b"\0\x21\0\1", _HEADER_BYTES) + 4
    answer = bytearray(wire[:question_end])
    answer[6:12] = _POINTERS.to_bytes(2) + bytes(4)
    target = _HEADER_BYTES  # the name in the question
    for _ in range(_POINTERS):
        content = bytes((0, 10, 0, 5, 0x21, 0)) + (0xC000 | target).to_bytes(2)
        answer += QUESTION_NAME + _SRV_IN + len(content).to_bytes(2) + content
        target = len(answer) - 2
    return bytes(answer)


POINTING: DnsFault = only_over_tcp(change_bytes(_send_pointers))


def _pointing(number: int) -> LabServer:
    name = f"pointers-{number}.siege.test"
    faults = {(f"_matrix-fed._tcp.{name}", "SRV"): POINTING}
    return LabServer(name, f"{_POINTERS} chained pointers", Method.SRV_FED, dns_faults=faults)


POINTING_SERVERS = tuple(map(_pointing, range(5)))


def _crowded(number: int) -> LabServer:
    """All these names lead to the same ports of one address, which somebody else may own. The first one opens them."""
    name, ports = f"crowded-{number}.siege.test", range(8500, 8500 + _CROWDED_PORTS)
    records = [f"_matrix-fed._tcp.{name} SRV 10 5 {port} hs.{name}." for port in ports]
    opened = {host_port(_CROWDED_ADDRESS, port): listen(stall) for port in ports} if number == 0 else {}
    zone = "\n".join([*records, f"hs.{name} A {_CROWDED_ADDRESS}"])
    return LabServer(name, "many names at one address", Method.SRV_FED, zone, opened)


CROWDED_SERVERS = tuple(map(_crowded, range(_CROWDED_NAMES)))
