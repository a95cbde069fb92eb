"""The guard: the order of its checks, and which requests it lets through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import bcrypt
import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from exporter.runtime.rate_limit import RateLimit
from exporter.web.connection import CLIENT_CERTIFICATE, CONNECTION
from exporter.web.guard import Guard
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.settings.loading import WebConfig
from exporter.web.settings.passwords import Passwords

PASSWORD = "hunter2"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ALICE = httpx.BasicAuth("alice", PASSWORD)
HEALTH_PATHS = ("/-/healthy", "/-/ready")


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("the site")(scope, receive, send)


@asynccontextmanager
async def guarded(
    config: WebConfig, *, health_without_auth: bool = False, client_certificate: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the site behind a guard with this configuration."""
    live_config = LiveWebConfig(None, health_without_auth=health_without_auth)
    live_config._config = config
    guard = Guard(site, live_config)

    state = {CLIENT_CERTIFICATE: client_certificate, CONNECTION: SimpleNamespace(verify=lambda: None)}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await guard({**scope, "state": state}, receive, send)

    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        yield client


async def test_every_request_is_allowed_by_default() -> None:
    """The default configuration requires nothing."""
    async with guarded(WebConfig()) as client:
        response = await client.get("/metrics")
    assert (response.status_code, response.text) == (200, "the site")


async def test_passwords_are_required() -> None:
    """A refusal asks for a user name and a password."""
    async with guarded(WebConfig(passwords=Passwords({"alice": HASH}))) as client:
        refused = await client.get("/metrics")
        wrong = await client.get("/metrics", auth=httpx.BasicAuth("alice", "wrong"))
        allowed = await client.get("/metrics", auth=ALICE)
    assert [response.status_code for response in (refused, wrong, allowed)] == [401, 401, 200]
    assert refused.text == "A user name and a password are required.\n"
    assert refused.headers["www-authenticate"].startswith('Basic realm="matrix-federation-exporter"')


@pytest.mark.parametrize("path", HEALTH_PATHS)
@pytest.mark.parametrize(
    "config",
    [WebConfig(passwords=Passwords({"alice": HASH})), WebConfig(client_certificate_needed=True)],
    ids=["password", "certificate"],
)
async def test_only_health_checks_can_be_exempt(config: WebConfig, path: str) -> None:
    """Similar paths and all other paths are not."""
    async with guarded(config) as client:
        assert (await client.get(path)).status_code in (401, 403)
    async with guarded(config, health_without_auth=True) as client:
        assert (await client.get(path)).status_code == 200
        for other in (f"{path}/", "/metrics", "/-/reload"):
            assert (await client.get(other)).status_code in (401, 403)


async def test_a_client_certificate_is_required() -> None:
    """A connection without one is possible if health checks are exempt."""
    config = WebConfig(client_certificate_needed=True)
    async with guarded(config) as client:
        refused = await client.get("/metrics")
    async with guarded(config, client_certificate=True) as client:
        allowed = await client.get("/metrics")
    assert (refused.status_code, refused.text) == (403, "A client certificate is required.\n")
    assert allowed.status_code == 200


async def test_a_certificate_does_not_replace_a_password() -> None:
    """If both are configured, both are required."""
    config = WebConfig(client_certificate_needed=True, passwords=Passwords({"alice": HASH}))
    async with guarded(config, client_certificate=True) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", auth=ALICE)).status_code == 200
    async with guarded(config) as client:
        assert (await client.get("/metrics", auth=ALICE)).status_code == 403


async def test_the_rate_limit_comes_first() -> None:
    """It also applies to requests that would be refused, and to health checks."""
    config = WebConfig(passwords=Passwords({"alice": HASH}), rate_limit=RateLimit(1, 2))
    async with guarded(config, health_without_auth=True) as client:
        statuses = [(await client.get(path)).status_code for path in ("/metrics", "/-/healthy", "/-/healthy")]
    assert statuses == [401, 200, 429]


async def test_requests_of_other_sites_are_refused_before_a_password_is_checked() -> None:
    """A page of another site must not be able to make a browser send passwords."""
    async with guarded(WebConfig(passwords=Passwords({"alice": HASH}))) as client:
        response = await client.get("/metrics", headers={"Sec-Fetch-Site": "cross-site"})
    assert (response.status_code, response.text) == (403, "Pages of other sites may only link to this exporter.\n")


async def test_the_configured_headers_are_in_every_response() -> None:
    """Refusals have them too."""
    config = WebConfig(headers={"X-Frame-Options": "deny"}, passwords=Passwords({"alice": HASH}))
    async with guarded(config) as client:
        responses = [await client.get("/metrics"), await client.get("/metrics", auth=ALICE)]
    assert [response.headers["x-frame-options"] for response in responses] == ["deny", "deny"]


async def test_a_changed_file_applies_to_the_next_request(tmp_path: Path) -> None:
    """The guard asks for the configuration in effect."""
    file = tmp_path / "web.yaml"
    file.write_text("", encoding="utf-8")
    live_config = LiveWebConfig(file)
    live_config.read()
    transport = httpx.ASGITransport(Guard(site, live_config))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        before = await client.get("/metrics")
        file.write_text(f"basic_auth_users: {{alice: {HASH}}}", encoding="utf-8")
        after = await client.get("/metrics")
    assert (before.status_code, after.status_code) == (200, 401)
