"""What the exporter reports to systemd: a datagram socket stands for systemd's side."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.runtime.systemd import ServiceManager
from tests.waiting import until

SOON = 0.002  # seconds between two pings
MORE_THAN_FIT = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2  # messages in a socket


@contextmanager
def systemd(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(address)
        yield sock


def received(sock: socket.socket) -> list[str]:
    messages = []
    with suppress(BlockingIOError):
        while True:
            messages.append(sock.recv(4096).decode())
    return messages


def watched(address: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(int(2 * SOON * 1e6)), "WATCHDOG_PID": str(os.getpid())}


@pytest.mark.parametrize("abstract", [False, True])
def test_states_are_reported(tmp_path: Path, abstract: bool) -> None:  # noqa: FBT001 - the two kinds of sockets
    """Over a socket in the file system, and over one in the abstract namespace, which is written with an @."""
    path = str(tmp_path / "notify")
    with systemd(f"\0{path}" if abstract else path) as sock:
        manager = ServiceManager({"NOTIFY_SOCKET": f"@{path}" if abstract else path})
        manager.ready()
        manager.reloading()
        manager.stopping()
        ready, reloading, stopping = received(sock)
    assert (ready, stopping) == ("READY=1", "STOPPING=1")
    state, monotonic = reloading.splitlines()
    assert state == "RELOADING=1"
    assert monotonic.removeprefix("MONOTONIC_USEC=").isdecimal()


async def test_the_watchdog_is_pinged_unless_there_is_a_complaint(tmp_path: Path) -> None:
    """It is pinged again when the complaint is gone; the log says why it was not."""
    complaints = ["2 of 4 workers have not responded for up to 12 s"]
    asked = 0

    def complaint() -> str | None:
        nonlocal asked
        asked += 1
        return complaints[0] if complaints else None

    with systemd(str(tmp_path / "notify")) as sock, capture_logs() as logs:
        pings = asyncio.create_task(ServiceManager(watched(tmp_path / "notify")).keep_alive(complaint))
        await until(lambda: asked > 3)
        assert received(sock) == []
        complaints.clear()
        await until(lambda: set(received(sock)) == {"WATCHDOG=1"})
        pings.cancel()
    assert logs[0]["problem"] == "2 of 4 workers have not responded for up to 12 s"


async def test_a_state_waits_until_the_queue_has_room(tmp_path: Path) -> None:
    """Systemd may be slow to read pings, but it must hear of the beginning and of the end of a reload."""
    with systemd(str(tmp_path / "notify")) as sock, capture_logs() as logs:
        manager = ServiceManager(watched(tmp_path / "notify"))
        asked: list[None] = []
        pings = asyncio.create_task(manager.keep_alive(lambda: asked.append(None)))
        await until(lambda: len(asked) > MORE_THAN_FIT)
        pings.cancel()
        manager.reloading()
        manager.ready()
        assert set(received(sock)) == {"WATCHDOG=1"}
        states = await until(lambda: received(sock))
    assert [state.partition("\n")[0] for state in states] == ["RELOADING=1", "READY=1"]
    assert logs == []


@pytest.mark.parametrize("changed", [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_PID": "1"}])
def test_a_watchdog_that_is_not_for_this_process_is_left_alone(tmp_path: Path, changed: dict[str, str]) -> None:
    assert "a ping every 0 s" in repr(ServiceManager(watched(tmp_path / "notify") | changed))


@pytest.mark.parametrize("address", ["", "vsock:2:1234"])
def test_nothing_is_sent_without_a_unix_socket(address: str) -> None:
    """Systemd outside of a virtual machine is reported to by the systemd inside."""
    with capture_logs() as logs:
        ServiceManager({"NOTIFY_SOCKET": address}).ready()
    assert logs == []


def test_systemd_that_does_not_listen_is_logged(tmp_path: Path) -> None:
    """Nothing else happens."""
    with capture_logs() as logs:
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nothing")}).ready()
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("cannot notify systemd", "[Errno 2] No such file or directory")
    ]


def test_the_variables_are_not_for_child_processes(tmp_path: Path) -> None:
    """A worker that inherited them would report for the exporter."""
    environment = watched(tmp_path / "notify") | {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "web"}
    manager = ServiceManager(environment | {"HOME": "/"})
    assert manager.inherited_sockets() == []
    left = environment | {"HOME": "/"}
    ServiceManager(left)
    assert left == {"HOME": "/"}
