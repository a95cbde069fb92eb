"""Shows the exporter documents that it has never seen, and prints by how many bytes its memory grows meanwhile.

Every text that a server, a DNS server or a server list can choose is another one in each document. The script needs no
other packages than the exporter: it runs on every supported Python, as these differ in what they keep for ever, such as
interned texts from 3.12 on.
"""

import asyncio
import gc
import json
import random
import resource
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from exporter.demo.homeserver import Homeserver, JsonObject, sign_as
from exporter.demo.https_server import Response, delegation, json_response
from exporter.metrics import exposition
from exporter.model import names
from exporter.model.servers import WatchedServer
from exporter.probing.prober import Prober
from exporter.probing.stages import directory, keys, version
from exporter.reports.board import Board
from exporter.reports.report_json import server_state_json
from exporter.reports.tester_json import tester_json
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.runtime.lru import LruCache
from exporter.scheduling import probe_log
from tests.certificates import handshake
from tests.fake_world import FakeNetwork, Server, http_response, website
from tests.fuzz.targets.configuration import destinations, server_file
from tests.fuzz.targets.dns_answers import dns_answer
from tests.fuzz.targets.http_answers import http

SERVERS = 10
WARM_UP, DOCUMENTS = 400, 400
ENTRIES = 100  # of the large cache
KEYS_BYTES = 6 * 1024  # of a document of signing keys: it is kept if it has at most 8 KiB
TIMEOUT_SECONDS = 600.0  # everything responds at once

_RANDOM = random.Random(1)


def random_hex(size: int) -> str:
    return _RANDOM.randbytes(size // 2).hex()


def main() -> None:
    logs.configure(LogLevel.ERROR, LogFormat.LOGFMT)
    board = Board(exposition.render_lines, lambda: datetime.now(UTC))
    watched = [WatchedServer(names.parse(f"server{number}.test"), 300) for number in range(SERVERS)]
    board.watch(watched)
    with small_cache():
        show_documents(board, WARM_UP)
        before = memory()
        show_documents(board, DOCUMENTS)
        after = memory()
    json.dump({"documents": DOCUMENTS} | {unit: after[unit] - before[unit] for unit in after}, sys.stdout)


@contextmanager
def small_cache() -> Iterator[None]:
    """Let the cache that is to hold something of 20,000 servers be full after the first documents."""
    with patch.object(keys, "_verified_before", LruCache[bytes, bytes](ENTRIES)):
        yield


def memory() -> dict[str, int]:
    """Return the resident memory, and the number of objects, however small: one for each document is too many."""
    gc.collect()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"bytes": resident_pages * resource.getpagesize(), "objects": sys.getallocatedblocks()}


def show_documents(board: Board, count: int) -> None:
    for number in range(count):
        asyncio.run(probe(board, f"server{number % SERVERS}.test", working=number % 2 == 0))
        http(b"\2HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: 2\r\n\r\n{}" % (label(), label()))
        dns_answer(srv_answer(label()))
        server_file(json.dumps([{"targets": [host(), "a b"], "labels": {host(): host()}}]).encode())
        destinations(json.dumps({"destinations": [{"destination": host(), host(): 1}], "total": 1}).encode())


def label() -> bytes:
    return b"a" + random_hex(40).encode()


def host() -> str:
    """Return a name that is too long for pydantic's cache of 16,384 texts, which are shorter than 64 bytes."""
    return f"a{random_hex(60)}.test"


def srv_answer(label: bytes) -> bytes:
    """Return an answer with an alias and the record that it leads to, for the target `dns_answer` of the fuzzer."""
    name = b"\x0b_matrix-fed\x04_tcp\x07example\x04test\0"
    host = bytes([len(label)]) + label + b"\x04test\0"
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(host)) + host
    record = host + struct.pack("!HHIH", 33, 1, 60, 6 + len(host)) + struct.pack("!HHH", 10, 5, 8448) + host
    return b"\0" + struct.pack("!HHHHH", 0x8180, 1, 2, 0, 0) + name + struct.pack("!HH", 33, 1) + alias + record


async def probe(board: Board, server_name: str, *, working: bool) -> None:
    """Probe a server with a deep look, and do everything that the exporter does with the report."""
    prober = Prober(network(server_name, working=working), TIMEOUT_SECONDS)
    report = await prober.run_deep_look(await prober.probe(names.parse(server_name)))
    state = board.state(report.server_name)
    probe_log.log_probe(state.report if state else None, report)
    board.put(report)
    if state := board.state(report.server_name):
        json.dumps([server_state_json(state), tester_json(report)], default=str)


def network(server_name: str, *, working: bool) -> FakeNetwork:
    delegated = f"{label().decode()}.test"
    homeserver = Homeserver(server_name)
    homeserver.publish_keys = publish_random_keys
    homeserver.software = {"name": random_hex(40), "version": random_hex(40)}
    pages = {
        version.PATH: http_response(homeserver.version() if working else refusal()),
        keys.PATH: http_response(homeserver.keys()),
        directory.PATH: http_response(refusal()),
    }
    servers = {
        "192.0.2.1:443": website(server_name, http_response(delegation(f"{delegated}:8449"))),
        "192.0.2.2:8449": Server(handshake(delegated), pages),
    }
    return FakeNetwork({server_name: ("192.0.2.1",), delegated: ("192.0.2.2",)}, servers=servers)


def refusal() -> Response:
    response = json_response({"errcode": f"M_{random_hex(40)}", "error": random_hex(400)}, 403)
    return replace(response, headers=(*response.headers, ("Server", random_hex(40)), (f"X-{random_hex(40)}", "1")))


def publish_random_keys(homeserver: Homeserver) -> JsonObject:
    return sign_as(homeserver, homeserver.unsigned_keys() | {random_hex(40): random_hex(KEYS_BYTES)})


if __name__ == "__main__":
    main()
