"""`serve` as a service of systemd, whose side is a datagram socket and a listening socket of this test."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import httpx
import pytest

from exporter.web.listeners import bound_address
from tests.waiting import PATIENCE

pytestmark = pytest.mark.subprocess

# As systemd does before it executes a service: the socket becomes descriptor 3, and LISTEN_PID is the service's own.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "WATCHDOG_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "exporter", *sys.argv[2:]])
"""


async def test_systemd_is_told_of_every_state_and_its_socket_is_used(tmp_path: Path) -> None:
    """The watched address is private, so that the exporter connects to nothing."""
    config = tmp_path / "config.yaml"
    config.write_text("servers: ['127.0.0.1:1']\n")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
        socket.create_server(("127.0.0.1", 0)) as opened,
    ):
        systemd.setblocking(False)  # noqa: FBT003 - the name of the method says what is false
        systemd.bind(str(tmp_path / "notify"))
        serve = ["serve", "--config", config, "--web.systemd-socket", "--workers", "2"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", LAUNCH, str(opened.fileno()), *map(str, serve)),
            pass_fds=[opened.fileno()],
            env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"},
            stderr=DEVNULL,
        )
        try:
            assert await next_state(systemd) == "READY=1"
            assert await next_message(systemd) == "WATCHDOG=1"
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
                response = await client.get(f"http://{bound_address(opened)}/-/ready")
            assert response.text == "The exporter is ready.\n"
            process.send_signal(signal.SIGHUP)
            assert (await next_state(systemd)).startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert await next_state(systemd) == "READY=1"
            process.terminate()
            assert await next_state(systemd) == "STOPPING=1"
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def next_message(systemd: socket.socket) -> str:
    async with asyncio.timeout(PATIENCE):
        return (await asyncio.get_running_loop().sock_recv(systemd, 4096)).decode()


async def next_state(systemd: socket.socket) -> str:
    while (message := await next_message(systemd)) == "WATCHDOG=1":
        pass
    return message
