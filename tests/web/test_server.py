"""The server: how it starts and stops, and what it does when a page fails or a client disconnects."""

import asyncio
from pathlib import Path

import bcrypt
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from exporter.config import UnixPath
from exporter.web import server
from exporter.web.guard import Guard
from exporter.web.headers import SECURITY_HEADERS
from exporter.web.listeners import bind, bound_address
from exporter.web.server import Server
from exporter.web.settings.live_config import LiveWebConfig
from tests.waiting import PATIENCE, leaked_tasks, until
from tests.web.clients import REQUEST, client, exchange
from tests.web.lab_site import SILENT, lab_site
from tests.web.serving import ANYWHERE, large_page, streamed_page


async def test_the_end_does_not_wait_for_slow_clients(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a grace period, they are disconnected without an error, and no task is left."""
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.1)
    sockets = bind([ANYWHERE])
    site = Starlette(routes=[Route("/streamed", streamed_page)])
    async with asyncio.timeout(PATIENCE), Server(site, sockets):
        reader, writer = await asyncio.open_connection(*bound_address(sockets[0]))
        writer.write(REQUEST % b"/streamed")
        await reader.readline()
    writer.transport.abort()
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []
    assert leaked_tasks() == set()


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_a_reverse_proxy_can_connect_to_a_socket_in_the_file_system(tmp_path: Path) -> None:
    """Its clients have no address: passwords and limits work without one."""
    hashed = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{alice: '{hashed}'}}\n")
    web = LiveWebConfig(tmp_path / "web.yml")
    web.read()
    path = str(tmp_path / "web.sock")
    site = Starlette(routes=[Route("/large", large_page)])
    async with Server(Guard(site, web), bind([UnixPath(path)])):
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as connected:
            refused = await connected.get("/large")
            allowed = await connected.get("/large", auth=("alice", "hunter2"))
    assert (refused.status_code, allowed.status_code) == (401, 200)
    assert names_in(tmp_path) == ["web.yml"]


async def test_a_response_is_cancelled_when_its_client_disconnects(tmp_path: Path) -> None:
    """The request is forgotten. Its probe continues, because other clients may be waiting for it."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        async with client(site.app.addresses[0]) as (_, writer):
            writer.write(REQUEST % b"/probe?target=%s" % SILENT.server_name.encode())
            await until(lambda: site.app.queries.pending == 1)
        await until(lambda: site.app.queries.pending == 0)
        assert (await site.get("/metrics")).text.count("probes_in_flight 1.0") == 1
    assert leaked_tasks() == set()


async def test_a_bug_in_a_page_is_a_response_without_a_traceback() -> None:
    """The response has status 500 and all security headers."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("the secret")

    sockets = bind([ANYWHERE])
    async with Server(broken, sockets):
        received = await exchange(bound_address(sockets[0]), REQUEST % b"/")
    assert received.statuses[0] == 500
    assert received.text.partition("\r\n\r\n")[2].startswith("Internal Server Error")
    assert "the secret" not in received.text
    assert received.headers.items() >= {header.lower(): value for header, value in SECURITY_HEADERS.items()}.items()
