"""A Synapse in a process of its own, and the reverse proxy in front of it."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from exporter.demo.https_server import HTML, Request, Response
from exporter.outbound.signing import generate_seed

_LAUNCHER: Final = Path(__file__).with_name("launch_synapse.py")
_SOCKET = "synapse.sock"
_START_SECONDS = 300.0  # on a machine that does much else; otherwise it takes three
_STOP_SECONDS = 20.0
_PAUSE_SECONDS = 0.1
_LOG_LINES = 10  # shown if it does not start
_BAD_GATEWAY: Final = Response(502, (HTML,), b"<!doctype html><title>Bad Gateway</title><h1>Bad Gateway</h1>")
_FORWARDED: Final = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Proto": "https",
}  # Synapse requires it on a Unix socket
_CLIENT_SECONDS = 60.0
_CONTENT_TYPE = "Content-Type"


class DemoError(Exception):
    """The demo cannot run. The message says why, and what to do."""


class Synapse:
    """A homeserver that can be stopped and started again. All its files are in `folder`, and it listens on a Unix
    socket there, so it needs no port.

    `python` is the Python that has Synapse.
    """

    def __init__(self, server_name: str, folder: Path, python: Path) -> None:
        self.server_name = server_name
        self.log = folder / "synapse.log"
        self._folder = folder
        self._python = python
        self._routes = folder / "routes.json"
        self._process: Process | None = None
        transport = httpx.AsyncHTTPTransport(
            uds=str(folder / _SOCKET), limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.client = httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=_FORWARDED, timeout=_CLIENT_SECONDS
        )
        """A client of all its APIs, without the reverse proxy."""

    def configure(self, dns: str, ca_file: Path) -> None:
        """Write its files. `dns` is the address of the DNS server that it asks. Raises DemoError."""
        if not self._python.exists():
            raise DemoError(f"there is no {self._python}: `make demo-synapse` installs Synapse")
        self._dns = dns
        self._folder.mkdir()
        (self._folder / "signing.key").write_text(str(generate_seed()), encoding="ascii")
        chosen = settings(self._folder, self.server_name) | _federating(self._folder, ca_file)
        (self._folder / "homeserver.yaml").write_text(json.dumps(chosen), encoding="utf-8")

    def route(self, connect_to: Mapping[str, str]) -> None:
        """Redirect its connections, from the next one on. By `ip:port`."""
        fresh = self._routes.with_suffix(".new")
        fresh.write_text(json.dumps(dict(connect_to)), encoding="utf-8")
        fresh.replace(self._routes)

    # ------------------------------------------------------------ start and stop

    async def start(self) -> None:
        """Return when it responds. Raises DemoError."""
        command = [str(self._python), str(_LAUNCHER), self._dns, str(self._routes), "--config-path", "homeserver.yaml"]
        checkout = self._python.parents[1].resolve().parent  # its branch would become a part of Synapse's version
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._folder,
                env=os.environ | {"GIT_CEILING_DIRECTORIES": str(checkout)},
                stdin=PIPE,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,  # the demo stops it: Ctrl-C must not reach it too
            )
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await self._responds(self._process):  # noqa: ASYNC110 - nothing else tells
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise self._not_started(f"it did not respond within {_START_SECONDS:.0f} s") from None

    async def _responds(self, process: Process) -> bool:
        if process.returncode is not None:
            raise self._not_started(f"it ended with status {process.returncode}")
        try:
            return (await self.client.get("/health")).is_success
        except httpx.TransportError:
            return False

    def _not_started(self, why: str) -> DemoError:
        last = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
        return DemoError(f"the Synapse of {self.server_name} did not start: {why}. Its log ends with:\n{last}")

    async def stop(self) -> None:
        """Return when its process has ended."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def close(self) -> None:
        """Stop it for good."""
        await self.stop()
        await self.client.aclose()

    # ------------------------------------------------------------ the reverse proxy

    async def forward(self, request: Request) -> Response:
        """Respond as a good reverse proxy does: the path stays as it was sent."""
        url = self.client.base_url.copy_with(raw_path=request.target.encode())
        try:
            response = await self.client.request(
                request.method, url, content=bytes(request.body), headers=_headers(request)
            )
        except httpx.TransportError:
            return _BAD_GATEWAY
        content_type = response.headers.get(_CONTENT_TYPE)
        headers = ((_CONTENT_TYPE, content_type),) if content_type else ()
        return Response(response.status_code, headers, response.content)


def _headers(request: Request) -> dict[str, str]:
    headers = {
        "Host": request.host,
        "User-Agent": request.user_agent,
        "Accept-Encoding": "identity",
    }
    return headers | ({"Authorization": request.authorization} if request.authorization else {})


def settings(folder: Path, server_name: str) -> dict[str, Any]:
    """Return settings with which it keeps all files in `folder`, contacts no server, and reports no statistics."""
    return {
        "server_name": server_name,
        "signing_key_path": str(folder / "signing.key"),
        "media_store_path": str(folder / "media"),
        "pid_file": str(folder / "synapse.pid"),
        "database": {"name": "sqlite3", "args": {"database": str(folder / "synapse.db")}},
        "trusted_key_servers": [],
        "report_stats": False,
        "presence": {"enabled": False},
    }


def _federating(folder: Path, ca_file: Path) -> dict[str, Any]:
    """Return settings with which it federates on loopback, with an authority of its own, and anyone can register."""
    resources = [{"names": ["client", "federation", "health"]}]
    return {
        "listeners": [{"type": "http", "path": str(folder / _SOCKET), "resources": resources}],
        "federation_custom_ca_list": [str(ca_file)],
        "ip_range_blacklist": [],
        "enable_registration": True,
        "enable_registration_without_verification": True,
    }
