"""Debian's blackbox_exporter, with the requests of a full probe: four DNS queries and three HTTPS requests."""

import asyncio
import json
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, check_output
from tempfile import TemporaryDirectory
from typing import Any, Self

import httpx

from exporter.config import Config
from exporter.demo.homeserver import KEYS, VERSION
from exporter.demo.https_server import WELL_KNOWN
from exporter.demo.listener import LOOPBACK
from tests.bench.processes import cpu_seconds_of
from tests.bench.responder import ADDRESS, FEDERATION_PORT, WEB_PORT
from tests.bench.rows import QUICK

PROGRAM = "prometheus-blackbox-exporter"
SERVERS = 60 if QUICK else 200
IN_FLIGHT = 20
START_SECONDS = 10
DNS_QUERIES = (("_matrix-fed._tcp.", "SRV"), ("_matrix._tcp.", "SRV"), ("", "A"), ("", "AAAA"))


class Blackbox:
    """Runs blackbox_exporter within `with`.

    The exporter's authority is its system trust store, which it reads once: so it is as fast as it can be.
    """

    def __init__(self, config: Config) -> None:
        self._names = [watched.server_name.host for watched in config.servers][:SERVERS]
        self._ca_file = config.network.ca_file
        (resolver,) = config.network.resolvers
        name = self._names[0]
        web, homeserver = (config.network.connect_to[f"{ADDRESS}:{port}"] for port in (WEB_PORT, FEDERATION_PORT))
        self._requests = [
            ("https", f"https://{web}{WELL_KNOWN}"),
            ("https", f"https://{homeserver}{VERSION}"),
            ("https", f"https://{homeserver}{KEYS}"),
            *((f"dns{number}", str(resolver)) for number in range(len(DNS_QUERIES))),
        ]
        self._modules = {
            "https": https_module(),
            **{f"dns{n}": dns_module(prefix + name, query_type) for n, (prefix, query_type) in enumerate(DNS_QUERIES)},
        }

    def __enter__(self) -> Self:
        program = path_of_program()
        self.version = version_of(program)
        self._folder = TemporaryDirectory(prefix="bench-")
        file = Path(self._folder.name) / "blackbox.yml"
        file.write_text(json.dumps({"modules": self._modules}))
        with socket.create_server((LOOPBACK, 0)) as free:
            self._address = f"{LOOPBACK}:{free.getsockname()[1]}"
        options = [f"--config.file={file}", f"--web.listen-address={self._address}", "--log.level=error"]
        trust = {"SSL_CERT_FILE": str(self._ca_file), "SSL_CERT_DIR": self._folder.name}
        self._process = Popen([program, *options], env=os.environ | trust, stdout=DEVNULL, stderr=DEVNULL)
        self._wait_until_healthy()
        self.cost()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def cost(self) -> float:
        """Return the CPU seconds for the requests of a full probe. Raises AssertionError if any of them fails."""
        before = cpu_seconds_of(self._process.pid)
        asyncio.run(self._probe_all())
        return (cpu_seconds_of(self._process.pid) - before) / len(self._names)

    async def _probe_all(self) -> None:
        names = iter(self._names)
        limits = httpx.Limits(max_keepalive_connections=IN_FLIGHT)
        async with httpx.AsyncClient(base_url=f"http://{self._address}", trust_env=False, limits=limits) as client:

            async def probe_each() -> None:
                for name in names:
                    for module, target in self._requests:
                        parameters = {"module": module, "target": target}
                        parameters |= {"hostname": name} if module == "https" else {}
                        response = await client.get("/probe", params=parameters)
                        assert "\nprobe_success 1\n" in response.text, response.text

            await asyncio.gather(*(probe_each() for _ in range(IN_FLIGHT)))

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                httpx.get(f"http://{self._address}/-/healthy", trust_env=False)
                return
            time.sleep(0.05)
        raise SystemExit(f"{PROGRAM} did not start")


def path_of_program() -> str:
    """Raises SystemExit if it is not installed."""
    if program := shutil.which(PROGRAM):
        return program
    raise SystemExit(f"{PROGRAM} is not installed: tests/install-programs installs it")


def version_of(program: str) -> str:
    """Return its name and version, such as `blackbox_exporter 0.23.0`."""
    output = check_output([program, "--version"], text=True, stderr=STDOUT)
    return " ".join(output.replace(",", "").split()[:3:2])


def https_module() -> dict[str, Any]:
    return {"prober": "http", "timeout": "10s", "http": {"preferred_ip_protocol": "ip4", "enable_http2": False}}


def dns_module(name: str, query_type: str) -> dict[str, Any]:
    """Return a module for which an answer without records is a success too."""
    query = {"query_name": name, "query_type": query_type, "valid_rcodes": ["NOERROR", "NXDOMAIN"]}
    return {
        "prober": "dns",
        "timeout": "10s",
        "dns": {"preferred_ip_protocol": "ip4", "transport_protocol": "udp", **query},
    }
