"""Passwords, hashes, keys and tokens: used, and shown nowhere."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
import structlog

from exporter.app import App
from exporter.config import load
from exporter.demo.authority import Authority
from exporter.runtime import logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.server_lists.fetch import ListAccess
from exporter.web import landing
from exporter.web.settings.declaration import TlsServerSettings, WebSettingsFile
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.settings.passwords import Credentials, Passwords
from tests.server_lists import serving as lists
from tests.waiting import until
from tests.web import pems
from tests.web.serving import ANYWHERE, client_of

PASSWORD, WRONG_PASSWORD, TOKEN, HEADER = (f"hunter{number}" for number in range(4))
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
PATHS = (
    "/",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/nothing",
    "/api/openapi.json",
    "/api/v1/report?server_name=a.test&fresh=true",
    "/api/report?server_name=hunter.example",
    "/probe?target=a.test&debug=true",
)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All of it, at its most talkative."""
    handlers, stream = logging.root.handlers[:], io.StringIO()
    logging.root.handlers.clear()  # `configure` closes those that it finds
    logs.configure(LogLevel.DEBUG, LogFormat.LOGFMT, stream)
    yield stream
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


def shows_secret(text: str) -> bool:
    return any(secret in text for secret in (PASSWORD, WRONG_PASSWORD, TOKEN, HEADER, HASH, "PRIVATE KEY"))


def config_file(folder: Path, list_url: str) -> Path:
    (folder / "token").write_text(TOKEN)
    settings = {
        "servers": ["a.test"],
        "server_urls": [{"url": f"{list_url}/list", "token_file": "token", "headers": {"X-Key": HEADER}}],
        "synapse_destinations": [{"url": list_url, "token_file": "token"}],
        "network": {"resolvers": ["127.0.0.1:9"]},
        "probe": {"timeout": "1s"},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    return folder / "config.yaml"


async def test_answers_and_log(tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks, with the right password or a wrong one; and where a list, a reload and a page of ours fail."""
    web = tmp_path / "web.yaml"
    web.write_text(f"basic_auth_users: {{alice: {HASH}}}\n")
    seen = []
    async with lists.serving(lambda _: lists.http_response(TOKEN.encode(), status="401 Unauthorized")) as server:
        file = config_file(tmp_path, server.url)
        async with App(file, listen=[ANYWHERE], web=LiveWebConfig(web), lifecycle=True) as app:
            until_stopped = asyncio.create_task(app.until(asyncio.Event(), asyncio.Event()))
            await until(lambda: len(server.heads) >= 2)
            async with client_of(app.addresses[0]) as client:
                for auth in (("alice", PASSWORD), ("alice", WRONG_PASSWORD), None):
                    seen += [await client.get(path, auth=auth) for path in PATHS]
                monkeypatch.setattr(landing, "render", broken_page)
                seen.append(await client.get("/", auth=("alice", PASSWORD)))
                (tmp_path / "token").write_text(f"{TOKEN} {TOKEN}")
                seen.append(await client.post("/-/reload", auth=("alice", PASSWORD)))
                web.write_text(f"basic_auth_users: {{alice: {PASSWORD}}}\n")
                seen.append(await client.post("/-/reload", auth=("alice", PASSWORD)))
            until_stopped.cancel()
    assert {answer.status_code for answer in seen} >= {200, 401, 404, 500}
    assert "the file cannot be used" in seen[-2].text
    assert "expected a password hashed with bcrypt" in seen[-1].text
    assert "a fault of ours" in log.getvalue()
    assert not any(shows_secret(f"{answer.headers}{answer.text}") for answer in seen)
    assert not shows_secret(log.getvalue())


def broken_page(*_: object) -> str:
    password = PASSWORD
    assert password
    raise RuntimeError("a fault of ours")


def test_settings_as_text(tmp_path: Path) -> None:
    """As a traceback or a debugger may show them."""
    pems.write_server(tmp_path, Authority(tmp_path))
    key = (tmp_path / "key.pem").read_text()
    held = (
        load(config_file(tmp_path, "http://127.0.0.1:9")),
        ListAccess({"X-Key": HEADER}, tmp_path / "token", None),
        WebSettingsFile(TlsServerSettings(key=key), basic_auth_users={"alice": HASH}),
        Passwords({"alice": HASH}),
        Credentials(b"alice", PASSWORD.encode()),
    )
    assert [type(each) for each in held if shows_secret(f"{each!r}{each!s}")] == []
