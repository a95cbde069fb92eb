"""The exporter with `--web.config.file`, and curl to send it requests."""

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import bcrypt

from exporter.app import App
from exporter.web.settings.live_config import LiveWebConfig
from tests.programs import program
from tests.web.serving import ANYWHERE

PASSWORD = "correct horse: battery staple"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")  # as htpasswd writes it
USERS = f"basic_auth_users: {{alice: {HASH}}}\n"
TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
CLIENTS = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n"
REFUSED_BY_TLS = {35, 52, 55, 56}  # curl's exit statuses for a handshake or a connection that the server ended


class Response(NamedTuple):
    exit_status: int
    http_status: int
    """0 if there was no response."""
    head: str
    body: str


class RunningExporter:
    """An exporter that watches no servers, and curl to send it requests."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.file = folder / "web.yaml"

    def write(self, text: str, name: str = "web.yaml") -> None:
        """Replace a file atomically."""
        fresh = self.folder / "fresh"
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.folder / name)

    async def curl(self, path: str, *options: str, scheme: str = "https") -> Response:
        url = f"{scheme}://localhost:{self.app.addresses[0].port}{path}"
        always = ("--disable", "--silent", "--ipv4", "--noproxy", "*", "--max-time", "20", "--dump-header", "head")
        arguments = (*always, "--cacert", "ca.pem", *options, "--write-out", "\n%{http_code}", url)
        (self.folder / "head").write_bytes(b"")
        process = await asyncio.create_subprocess_exec(program("curl"), *arguments, stdout=PIPE, cwd=self.folder)
        out, _ = await process.communicate()
        body, _, status = out.decode().rpartition("\n")
        head = (self.folder / "head").read_text(encoding="ascii")
        return Response(process.returncode or 0, int(status), head.lower(), body)

    async def status(self, *options: str, scheme: str = "https") -> int:
        """Return the HTTP status of the landing page, or curl's exit status as a negative number."""
        response = await self.curl("/", *options, scheme=scheme)
        return -response.exit_status or response.http_status


@asynccontextmanager
async def running_exporter(
    folder: Path, text: str, *, health_without_auth: bool = False
) -> AsyncIterator[RunningExporter]:
    config, file = folder / "config.yaml", folder / "web.yaml"
    config.write_text("server_files: [none.json]\n", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    web = LiveWebConfig(file, health_without_auth=health_without_auth)
    async with App(config, listen=[ANYWHERE], web=web) as app:
        yield RunningExporter(app, folder)


def certificate_options(name: str) -> tuple[str, ...]:
    return ("--cert", f"{name}.pem", "--key", f"{name}-key.pem")
