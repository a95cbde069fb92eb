"""Three real Synapses and the real exporter, each in a network of its own, and what the exporter says of them.

`wk.test` delegates by a well-known and is behind nginx, `srv.test` by an SRV record, and `plain.test` not at all. Where
`plain.test` federates, there is no client API, so only its fetching keys shows that it reaches others; for these,
`srv.test` is its notary. All of this runs in NETWORK.
"""

import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from unittest.mock import patch

from exporter.demo.authority import Authority
from exporter.demo.dns_server import DnsServer
from exporter.demo.listener import LOOPBACK
from exporter.demo.zone import Transport
from exporter.outbound.signing import generate_seed
from tests.e2e.nginx import Site, nginx
from tests.e2e.synapse import synapse
from tests.endurance.serving import Exporter, Scrape, WallClock
from tests.namespaces import STAR_CENTRE, STAR_CENTRE_IPV6, inside, star
from tests.outbound.both_ways import write_private
from tests.waiting import slowness, until_async

NETWORK: Final = star(["wk", "srv", "plain"])
SERVERS: Final = ("wk.test", "srv.test", "plain.test")
_OWN_NAME: Final = "probe.test"
_BY_FAMILY: Final = {"ipv4": "ipv4.probe.test", "ipv6": "ipv6.probe.test"}
_ZONE: Final = f"""
  wk.test                   A   10.16.1.2
  fed.wk.test               A   10.16.1.2
  srv.test                  A   10.16.2.2
  hs.srv.test               A   10.16.2.2
  hs.srv.test               AAAA fd00:16:2::2
  _matrix-fed._tcp.srv.test SRV 10 5 8449 hs.srv.test.
  plain.test                A   10.16.3.2
  {_OWN_NAME}               A   {STAR_CENTRE}
  {_BY_FAMILY["ipv4"]}      A   {STAR_CENTRE}
  {_BY_FAMILY["ipv6"]}      AAAA {STAR_CENTRE_IPV6}
"""
FORWARDED: Final = """
  location = /.well-known/matrix/server {
    default_type application/json;
    return 200 '{"m.server": "fed.wk.test:443"}';
  }
  location /_matrix/ { proxy_pass http://127.0.0.1:8008; proxy_set_header Host $http_host; client_max_body_size 50m; }
"""

Said: TypeAlias = dict[str, Any]
"""What the exporter says of one server."""
HEALTHY: Final[Said] = {"outbound": 1.0, "failures": [], "warnings": []}


def said(scrape: Scrape, server_name: str) -> Said:
    """Return whether the stage `outbound` passes (None if there is none yet), why any stage fails, and what
    warnings there are about the other direction.
    """
    samples = [sample for sample in scrape.samples if sample.labels.get("server_name") == server_name]
    outbound = (
        sample.value
        for sample in samples
        if sample.name == "matrix_federation_stage_success" and sample.labels["probe_stage"] == "outbound"
    )
    reasons = (
        [sample.labels["probe_stage"], sample.labels["reason"]]
        for sample in samples
        if sample.name == "matrix_federation_failure_info"
    )
    warnings = (sample.labels["warning"] for sample in samples if sample.name == "matrix_federation_warning_info")
    return {
        "outbound": next(outbound, None),
        "failures": sorted(reasons),
        "warnings": sorted(warning for warning in warnings if warning.startswith("outbound_")),
    }


class Restartable:
    """A program in one of the networks, which can be restarted with other options."""

    def __init__(self, network: str, start: Callable[..., AbstractContextManager[object]]) -> None:
        self._network = network
        self._start = start
        self._running = ExitStack()

    def restart(self, **options: object) -> None:
        self.stop()
        with inside(self._network):
            self._running.enter_context(self._start(**options))

    def stop(self) -> None:
        self._running.close()


@dataclass(frozen=True, slots=True)
class Federation:
    """What can be broken, and the exporter."""

    exporter: Exporter
    proxy: Restartable
    """The nginx of wk.test."""
    srv: Restartable
    """The Synapse of srv.test."""
    clock: WallClock
    """That of plain.test."""
    configuration: dict[str, Any]
    """That of the exporter."""

    def name_families(self) -> None:
        """Start the exporter again, with a name for each IP family."""
        self.exporter.stop()
        outbound = self.configuration["outbound"] | {"by_family": _BY_FAMILY}
        self.exporter.configure(self.configuration | {"outbound": outbound})
        self.exporter.start()

    async def after_looks(self, number: int) -> dict[str, Said]:
        """Return what the exporter says of each server after so many looks at it that begin from now on."""
        for _ in range(number - 1):
            await self._after_look()
        return await self._after_look()

    async def _after_look(self) -> dict[str, Said]:
        now, found = time.time(), dict[str, Said]()

        async def all_are_looked_at() -> bool:
            scrape = self.exporter.scrape()
            for name, at in scrape.by_server("matrix_federation_outbound_timestamp_seconds").items():
                if at > now and name not in found:
                    found[name] = said(scrape, name)
            return len(found) == len(SERVERS)

        await until_async(all_are_looked_at)
        return found

    async def wait_until_healthy(self) -> None:
        async def all_are_healthy() -> bool:
            scrape = self.exporter.scrape()
            return all(said(scrape, name) == HEALTHY for name in SERVERS)

        await until_async(all_are_healthy)


@contextmanager
def federation(folder: Path) -> Iterator[Federation]:
    """Run everything, with all files in `folder`. The exporter has not looked at any server yet."""
    authority, clock = Authority(folder), WallClock(folder)
    proxy = Restartable("wk", _nginx(folder / "nginx", authority))
    wk = Restartable("wk", _synapse(folder / "wk", authority, 8008, [LOOPBACK], 0))
    srv = Restartable("srv", _synapse(folder / "srv", authority, 0, ["10.16.2.2", "fd00:16:2::2"], 8449))
    plain = Restartable("plain", _synapse(folder / "plain", authority, 0, ["10.16.3.2"], 8448, client_api=False))
    with ExitStack() as stack:
        stack.enter_context(_resolver())
        for each in (proxy, wk, srv):
            stack.callback(each.stop)
            each.restart()
        stack.callback(plain.stop)
        with patch.dict(os.environ, clock.environment()):
            plain.restart(trusted_key_servers=[{"server_name": "srv.test"}])
        (folder / "exporter").mkdir()
        exporter = Exporter(folder / "exporter", workers=1)
        configuration = _configuration(folder, authority)
        exporter.configure(configuration)
        stack.callback(exporter.stop)
        exporter.start()
        yield Federation(exporter, proxy, srv, clock, configuration)


def _nginx(folder: Path, authority: Authority) -> Callable[..., AbstractContextManager[object]]:
    folder.mkdir()
    certificate = authority.issue(["wk.test", "fed.wk.test"])
    return lambda locations=FORWARDED: nginx(folder, [Site(certificate, locations, ("10.16.1.2", 443))])


def _synapse(
    folder: Path, authority: Authority, http_port: int, ips: list[str], https_port: int, *, client_api: bool = True
) -> Callable[..., AbstractContextManager[object]]:
    folder.mkdir()
    name = f"{folder.name}.test"
    http = {
        "type": "http",
        "port": http_port,
        "bind_addresses": [LOOPBACK],
        "resources": [{"names": ["client", "federation"] if client_api else ["federation"]}],
    }
    settings = {
        "listeners": [http, http | {"tls": True, "port": https_port, "bind_addresses": ips}],
        "federation_custom_ca_list": [str(authority.ca_file)],
        "ip_range_blacklist": [],
        "suppress_key_server_warning": True,
    }
    certificate = authority.issue([name])
    return lambda **changed: synapse(folder, name, certificate, **settings | changed)


def _configuration(folder: Path, authority: Authority) -> dict[str, Any]:
    """Return that of the exporter, which looks at each server with every probe."""
    timeout = round(3 + 2 * slowness())  # a probe takes 50 ms on an idle machine
    (folder / "own.pem").write_bytes(authority.issue([_OWN_NAME, *_BY_FAMILY.values()]).pem)
    write_private(folder / "own.key", str(generate_seed()))
    return {
        "servers": list(SERVERS),
        "probe": {"timeout": f"{timeout}s", "interval": f"{timeout + 1}s"},
        "network": {
            "resolvers": [STAR_CENTRE],
            "ca_file": str(authority.ca_file),
            "allow_networks": ["10.16.0.0/16", "fd00:16::/32"],
            "ip_families": ["ipv4", "ipv6"],
        },
        "outbound": {
            "server_name": _OWN_NAME,
            "signing_key_file": str(folder / "own.key"),
            "listen": [f"{STAR_CENTRE}:8448", f"[{STAR_CENTRE_IPV6}]:8448"],
            "tls": {"cert_file": str(folder / "own.pem"), "key_file": str(folder / "own.pem")},
            "interval": f"{timeout + 1}s",
        },
    }


@contextmanager
def _resolver() -> Iterator[None]:
    """Answer the questions of everybody, in a thread of its own: nothing delays it."""
    names = DnsServer()
    names.zone.load(_ZONE)

    class Question(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, connection = self.request
            if isinstance(reply := names.reply(wire, Transport.UDP), bytes):
                connection.sendto(reply, self.client_address)

    with socketserver.UDPServer((STAR_CENTRE, 53), Question) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
