"""The exporter as a process with TLS and passwords on its listener, and what it takes of the machine."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import bcrypt

from exporter.config import HostPort
from exporter.config.addresses import parse_listen_address
from exporter.demo.authority import Authority
from tests.bench.processes import TICKS, children_of, resident_bytes
from tests.waiting import PATIENCE, until

USER, PASSWORD = "prometheus", "correct horse: battery staple"
_COST = 10  # of bcrypt, as htpasswd has it
_MAX_LINE = 1 << 16  # bytes of the log


class ExporterProcess:
    """Started, told, looked at from outside, and ended."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.workers = workers
        self.config = folder / "config.json"
        self.ca_file = folder / "ca.pem"
        self.address = HostPort("127.0.0.1", 0)
        self.process: Process
        self._reading: asyncio.Task[None]

    def configure(self, configuration: Mapping[str, Any]) -> None:
        self.config.write_text(json.dumps(configuration))

    async def start(self) -> None:
        options = ["--config", str(self.config), "--web.listen-address", str(self.address), "--log.format", "json"]
        options += ["--web.config.file", str(self._web_config()), "--web.enable-lifecycle"]
        command = [sys.executable, "-m", "exporter", "serve", *options, "--workers", str(self.workers)]
        self.process = await asyncio.create_subprocess_exec(*command, stderr=PIPE, limit=_MAX_LINE)
        listening = await self.told("listening")
        address = parse_listen_address(listening["addresses"])
        assert isinstance(address, HostPort)
        self.address = address
        await self.told("watching")
        self.read_log()

    def _web_config(self) -> Path:
        issued = Authority(self.folder).issue(["localhost", self.address.host])
        (self.folder / "server.pem").write_bytes(issued.pem)
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(_COST)).decode()
        tls = {"cert_file": "server.pem", "key_file": "server.pem"}
        file = self.folder / "web.yaml"
        file.write_text(json.dumps({"tls_server_config": tls, "basic_auth_users": {USER: hashed}}))
        return file

    async def told(self, what: str) -> Mapping[str, Any]:
        """Return the next event of this kind, and read no more of the log."""
        assert self.process.stderr
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stderr.readline():
                try:
                    event: Mapping[str, Any] = json.loads(line)
                except ValueError as error:
                    raise RuntimeError(
                        f"not of the log: {line + await self.process.stderr.read(_MAX_LINE)!r}"
                    ) from error
                if event["msg"] == what:
                    return event
        raise EOFError(f"the exporter ended before it said {what!r}")

    def read_log(self) -> None:
        """Read the log from now on, and forget it."""
        assert self.process.stderr
        self._reading = asyncio.create_task(_read_on(self.process.stderr))

    async def read_no_more(self) -> None:
        """Let the pipe of the log fill."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def reload(self) -> None:
        """Returns when the configuration is in use."""
        await self.read_no_more()
        self.process.send_signal(signal.SIGHUP)
        await self.told("watching")
        self.read_log()

    async def stop(self) -> int:
        """Return the exit status. The exporter ends although nobody reads its log. asyncio waits for both."""
        self.process.terminate()
        await until(lambda: self.process.returncode is not None)
        self.read_log()
        return await self.process.wait()

    # ------------------------------------------------------------ what it takes

    def worker_pids(self) -> list[int]:
        return children_of(self.process.pid)

    def resident_bytes(self) -> int:
        """Of the process and its workers."""
        total = resident_bytes(self.process.pid)
        for pid in self.worker_pids():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                total += resident_bytes(pid)
        return total

    def cpu_seconds(self) -> float:
        """Of the process and its workers, also those that have ended."""
        total = _ticks(self.process.pid, with_ended_children=True)
        for pid in self.worker_pids():
            with suppress(FileNotFoundError, ProcessLookupError):
                total += _ticks(pid)
        return total / TICKS


def scheduled(pid: int) -> tuple[float, float]:
    """Return for how long the main thread has run, and for how long it has waited for a processor, in seconds."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()  # proc(5)
    return int(ran) / 1e9, int(waited) / 1e9


def _ticks(pid: int, *, with_ended_children: bool = False) -> int:
    """Return user and system time (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended_children else 13]))


async def _read_on(log: asyncio.StreamReader) -> None:
    while await log.readline():
        pass
