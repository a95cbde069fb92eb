"""Passwords of HTTP basic authentication."""

import asyncio
import base64
import threading
from pathlib import Path

import bcrypt
import pytest

from exporter.web.settings.passwords import Credentials, Passwords, parse_credentials
from tests.waiting import until
from tests.web.settings.exporter_with_curl import HASH, PASSWORD, USERS, running_exporter


def basic(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        (basic(b"alice:secret"), Credentials(b"alice", b"secret")),
        (basic(b"alice:secret").replace("Basic", "bAsIc"), Credentials(b"alice", b"secret")),
        (basic(b"alice:a:b"), Credentials(b"alice", b"a:b")),
        (basic(b":"), Credentials(b"", b"")),
        (basic(b"alice:" + b"x" * 100), Credentials(b"alice", b"x" * 72)),
        (basic(b"alice"), None),
        ("Basic", None),
        ("Basic !", None),
        ("Bearer x", None),
        ("", None),
    ],
)
def test_credentials_are_parsed(header: str, credentials: Credentials | None) -> None:
    """The password starts after the first colon, and is truncated to what bcrypt uses."""
    assert parse_credentials(header) == credentials


async def test_passwords(tmp_path: Path) -> None:
    """Without the right password, every path returns 401."""
    async with running_exporter(tmp_path, USERS) as exporter:
        assert await exporter.status("--user", f"alice:{PASSWORD}", scheme="http") == 200
        for wrong in ("alice:wrong", "alice:", f"bob:{PASSWORD}", f":{PASSWORD}"):
            assert await exporter.status("--user", wrong, scheme="http") == 401
        for header in ("Basic", "Basic !", "Basic YWxpY2U=", "Bearer x", ""):
            assert await exporter.status("--header", f"Authorization: {header}", scheme="http") == 401
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/nothing"):
            response = await exporter.curl(path, scheme="http")
            assert (response.http_status, response.body) == (401, "A user name and a password are required.\n")
            assert 'www-authenticate: basic realm="matrix-federation-exporter"' in response.head


async def test_a_right_password_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cached, because bcrypt takes a tenth of a second; a wrong password is not cached."""
    hashed_passwords: list[bytes] = []

    def checkpw(password: bytes, hashed: bytes) -> bool:
        hashed_passwords.append(password)
        return original(password, hashed)

    original = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with running_exporter(tmp_path, USERS) as exporter:
        for password in (PASSWORD, PASSWORD, "wrong", "wrong"):
            await exporter.status("--user", f"alice:{password}", scheme="http")
        assert hashed_passwords == [PASSWORD.encode(), b"wrong", b"wrong"]
        exporter.write(f"{USERS}# anything\n")
        assert await exporter.status("--user", f"alice:{PASSWORD}", scheme="http") == 200
        assert hashed_passwords[3:] == [PASSWORD.encode()]


async def test_an_unknown_user_takes_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is hashed for it too, so that the time does not reveal which users exist."""
    hashes: list[bytes] = []

    def checkpw(_: bytes, hashed: bytes) -> bool:
        hashes.append(hashed)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    async with running_exporter(tmp_path, USERS) as exporter:
        assert await exporter.status("--user", f"bob:{PASSWORD}", scheme="http") == 401
    assert hashes == [HASH.encode()]


async def test_a_long_password_is_truncated(tmp_path: Path) -> None:
    """Bcrypt uses 72 bytes, and programs that create hashes truncate longer passwords silently."""
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    async with running_exporter(tmp_path, f"basic_auth_users: {{alice: {hashed}}}") as exporter:
        assert await exporter.status("--user", f"alice:{'x' * 80}", scheme="http") == 200
        assert await exporter.status("--user", f"alice:{'x' * 71}", scheme="http") == 401


async def test_passwords_are_checked_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a tenth of a second of a core, even if its client disconnects."""
    running, most, may_finish = 0, 0, threading.Event()

    def checkpw(_password: bytes, _hashed: bytes) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        may_finish.wait()
        running -= 1
        return False

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    passwords = Passwords({"alice": "hash"})
    checking = [
        asyncio.create_task(passwords.verify(Credentials(b"alice", b"%d" % number), "192.0.2.1")) for number in range(5)
    ]
    await until(lambda: running)
    for task in checking[:3]:
        task.cancel()
    await asyncio.wait(checking[:3])
    assert running == 1
    may_finish.set()
    assert await asyncio.gather(*checking[3:]) == [False, False]
    assert (most, running) == (1, 0)


async def test_a_client_that_guesses_does_not_lock_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right password of another client is the next one to be checked."""
    checked: list[bytes] = []

    def checkpw(password: bytes, _hashed: bytes) -> bool:
        checked.append(password)
        return password == b"right"

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    passwords = Passwords({"alice": "hash"})
    guesses = [
        asyncio.create_task(passwords.verify(Credentials(b"alice", b"wrong"), "2001:db8::/64")) for _ in range(60)
    ]
    await asyncio.sleep(0)
    assert await passwords.verify(Credentials(b"alice", b"right"), "192.0.2.1")
    assert checked.index(b"right") <= 2
    await asyncio.wait(guesses)


async def test_repr_counts_users() -> None:
    """It shows neither names nor hashes."""
    passwords = Passwords({"alice": HASH, "bob": HASH})
    assert await passwords.verify(Credentials(b"alice", PASSWORD.encode()), "192.0.2.1")
    assert repr(passwords) == "<Passwords 2 users, 1 verified>"
