"""Passwords, hashes, keys and tokens are used, and shown nowhere."""

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
from exporter.web.pages import rendering
from exporter.web.settings.declaration import TlsServerSettings, WebSettingsFile
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.settings.passwords import Credentials, Passwords
from tests.server_lists import serving as lists
from tests.waiting import until
from tests.web import pems
from tests.web.serving import ANYWHERE, client_of

pytestmark = pytest.mark.lab

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
    """The whole log, at its most verbose level."""
    handlers, stream = logging.root.handlers[:], io.StringIO()
    logging.root.handlers.clear()  # `configure` closes those that it finds
    logs.configure(LogLevel.DEBUG, LogFormat.LOGFMT, stream)
    yield stream
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


def contains_secret(text: str) -> bool:
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


async def test_responses_and_log_contain_no_secret(
    tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for right and wrong passwords, nor when a list, a reload or a page fails."""
    web = tmp_path / "web.yaml"
    web.write_text(f"basic_auth_users: {{alice: {HASH}}}\n")
    responses = []
    async with lists.serving(lambda _: lists.http_response(TOKEN.encode(), status="401 Unauthorized")) as server:
        file = config_file(tmp_path, server.url)
        async with App(file, listen=[ANYWHERE], web=LiveWebConfig(web), lifecycle=True) as app:
            running = asyncio.create_task(app.run(asyncio.Event(), asyncio.Event()))
            await until(lambda: len(server.heads) >= 2)
            async with client_of(app.addresses[0]) as client:
                for auth in (("alice", PASSWORD), ("alice", WRONG_PASSWORD), None):
                    responses += [await client.get(path, auth=auth) for path in PATHS]
                monkeypatch.setattr(rendering, "render", broken_page)
                responses.append(await client.get("/", auth=("alice", PASSWORD)))
                (tmp_path / "token").write_text(f"{TOKEN} {TOKEN}")
                responses.append(await client.post("/-/reload", auth=("alice", PASSWORD)))
                web.write_text(f"basic_auth_users: {{alice: {PASSWORD}}}\n")
                responses.append(await client.post("/-/reload", auth=("alice", PASSWORD)))
            running.cancel()
    assert {response.status_code for response in responses} >= {200, 401, 404, 500}
    assert "cannot use this file" in responses[-2].text
    assert "expected a password hashed with bcrypt" in responses[-1].text
    assert "a bug in a page" in log.getvalue()
    assert not any(contains_secret(f"{response.headers}{response.text}") for response in responses)
    assert not contains_secret(log.getvalue())


def broken_page(*_: object, **__: object) -> str:
    password = PASSWORD
    assert password
    raise RuntimeError("a bug in a page")


def test_repr_contains_no_secret(tmp_path: Path) -> None:
    """A traceback or a debugger may show it."""
    pems.write_server(tmp_path, Authority(tmp_path))
    (tmp_path / "web.yaml").write_text(f"basic_auth_users: {{alice: {HASH}}}\n")
    key = (tmp_path / "key.pem").read_text()
    objects = (
        load(config_file(tmp_path, "http://127.0.0.1:9")),
        ListAccess({"X-Key": HEADER}, tmp_path / "token", None),
        WebSettingsFile(TlsServerSettings(key=key), basic_auth_users={"alice": HASH}),
        Passwords({"alice": HASH}),
        Credentials(b"alice", PASSWORD.encode()),
        read_config(tmp_path / "web.yaml"),
    )
    assert [type(each) for each in objects if contains_secret(f"{each!r}{each!s}")] == []


def read_config(file: Path) -> LiveWebConfig:
    live_config = LiveWebConfig(file)
    live_config.read()
    return live_config
