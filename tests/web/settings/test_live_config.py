"""The web configuration in effect: what a changed file changes, and what an invalid file does not."""

import asyncio
import os
import ssl
from pathlib import Path
from unittest.mock import Mock

import bcrypt
import pytest
from cryptography import x509
from structlog.testing import capture_logs

from exporter.config import ConfigError
from exporter.demo.authority import Authority, Hierarchy
from exporter.web.settings.live_config import LiveWebConfig
from tests.web import pems
from tests.web.settings.exporter_with_curl import (
    CLIENTS,
    PASSWORD,
    REFUSED_BY_TLS,
    TLS,
    USERS,
    RunningExporter,
    certificate_options,
    running_exporter,
)


async def test_certificate_is_replaced(tmp_path: Path, authority: Authority) -> None:
    """New connections get the new certificate without a restart or a reload, once its key fits."""
    async with running_exporter(tmp_path, TLS) as exporter:
        first = await presented_serial(exporter)
        old_key = (tmp_path / "key.pem").read_bytes()
        pems.write_server(tmp_path, authority)
        new_key = (tmp_path / "key.pem").read_bytes()

        (tmp_path / "key.pem").write_bytes(old_key)  # a program has written only one of the two files yet
        with capture_logs() as logs:
            assert await presented_serial(exporter) == first
            assert await presented_serial(exporter) == first
        logged = [entry["complaint"] for entry in logs if entry["log_level"] == "error"]
        complaint = "this key does not belong to the certificate: use a certificate and a key that were issued together"
        assert logged == [f"{tmp_path}/web.yaml:3: tls_server_config.key_file: {complaint}"]

        (tmp_path / "key.pem").write_bytes(new_key)
        leaf = x509.load_pem_x509_certificates((tmp_path / "cert.pem").read_bytes())[0]
        assert await presented_serial(exporter) == leaf.serial_number != first
        assert await exporter.status() == 200


async def presented_serial(exporter: RunningExporter) -> int:
    """Return the serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=exporter.folder / "ca.pem")
    address = exporter.app.addresses[0]
    _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
    seen = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(seen).serial_number


@pytest.mark.usefixtures("authority")
async def test_client_authorities_are_replaced(tmp_path: Path, clients: Hierarchy) -> None:
    """Certificates of the old authority are no longer accepted."""
    pems.write_client(tmp_path, "old", clients)
    async with running_exporter(tmp_path, CLIENTS) as exporter:
        assert await exporter.status(*certificate_options("old")) == 200
        others = Hierarchy("Others")
        pems.write_client(tmp_path, "new", others)
        exporter.write(pems.chain_pem(others.intermediate).decode(), "clients.pem")
        assert -await exporter.status(*certificate_options("old")) in REFUSED_BY_TLS
        assert await exporter.status(*certificate_options("new")) == 200


async def test_users_are_replaced(tmp_path: Path) -> None:
    """A valid file applies from the next request on. An invalid one is not applied, and a reload reports why."""
    async with running_exporter(tmp_path, USERS) as exporter:
        alice, bob = (("--user", f"{name}:{PASSWORD}") for name in ("alice", "bob"))
        assert await exporter.status(*alice, scheme="http") == 200
        exporter.write(USERS.replace("alice", "bob"))
        assert [await exporter.status(*user, scheme="http") for user in (alice, bob)] == [401, 200]
        exporter.write("basic_auth_users: {bob: plain}\n")
        assert await exporter.status(*bob, scheme="http") == 200
        (complaint,) = await exporter.app.reload()
        assert (complaint.line, complaint.location) == (1, "basic_auth_users.bob")
        exporter.file.unlink()
        assert await exporter.status(*bob, scheme="http") == 200


async def test_a_reload_of_an_unchanged_file_resets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the passwords that were verified nor what is left of the rate limit, however often it is asked for."""
    monkeypatch.setattr(bcrypt, "checkpw", checkpw := Mock(return_value=True))
    async with running_exporter(tmp_path, f"{USERS}rate_limit: {{interval: 1h, burst: 2}}\n") as exporter:
        statuses = []
        for _ in range(3):
            statuses.append(await exporter.status("--user", f"alice:{PASSWORD}", scheme="http"))
            assert await exporter.app.reload() == ()
    assert (statuses, checkpw.call_count) == ([200, 200, 429], 1)


async def test_the_exporter_does_not_start_with_an_invalid_file(tmp_path: Path) -> None:
    """Otherwise it would be open to everyone."""
    with pytest.raises(ConfigError, match="unknown key `users`"):
        async with running_exporter(tmp_path, "users: {}\n"):
            pass


@pytest.mark.usefixtures("authority")
async def test_a_reload_does_not_turn_tls_off(tmp_path: Path) -> None:
    """A mistake in the file must not make the exporter accept plain HTTP."""
    async with running_exporter(tmp_path, TLS) as exporter:
        exporter.write(USERS)
        (complaint,) = await exporter.app.reload()
        sentence = "TLS cannot be turned on or off while the exporter is running: restart it"
        assert str(complaint) == f"{exporter.file}: tls_server_config: {sentence}"
        assert await exporter.status() == 200


async def test_a_changed_file_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    """Even if the program that changed it has restored the modification time."""
    async with running_exporter(tmp_path, USERS) as exporter:
        before = exporter.file.stat()
        exporter.write(USERS.replace("alice", "carol"))
        os.utime(exporter.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert await exporter.status("--user", f"carol:{PASSWORD}", scheme="http") == 200


async def test_an_invalid_file_is_logged_once(tmp_path: Path) -> None:
    """The previous configuration stays in effect, and a valid file is logged too."""
    file = tmp_path / "web.yaml"
    file.write_text("rate_limit: {interval: 1s}\n", encoding="utf-8")
    live_config = LiveWebConfig(file)
    live_config.read()
    first = live_config.current()
    with capture_logs() as logs:
        file.write_text("rate_limit: {interval: 1}\n", encoding="utf-8")
        assert [live_config.current() is first for _ in range(3)] == [True] * 3
        file.write_text("rate_limit: {interval: 2s}\n", encoding="utf-8")
        assert live_config.current() is not first
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("error", "web configuration not applied"),
        ("info", "web configuration reloaded"),
    ]


def test_repr_shows_what_is_required(tmp_path: Path) -> None:
    """It contains no secrets, but says what is configured."""
    file = tmp_path / "web.yaml"
    file.write_text(USERS, encoding="utf-8")
    live_config = LiveWebConfig(file, health_without_auth=True)
    assert repr(live_config) == f"<LiveWebConfig {file}: not read>"
    live_config.read()
    assert repr(live_config) == f"<LiveWebConfig {file}: passwords, health without authentication>"
    without_file = LiveWebConfig(None)
    without_file.read()
    assert repr(without_file) == "<LiveWebConfig None: open>"
