"""The workers as the exporter sees them: probers that happen to be elsewhere."""

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from itertools import count
from typing import Self

import structlog

from exporter.config import Config
from exporter.model import shards
from exporter.model.addresses import Target
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.probing.connectivity import Outage
from exporter.probing.prober import SupportsProbe, WorkerLostError
from exporter.workers.messages import (
    Cancel,
    DeepLookTask,
    LagSamples,
    ProbeTask,
    Ready,
    Reply,
    Request,
    UseConfig,
    WorkerTask,
    receive,
    send,
)

RESTART_SECONDS = 1.0  # between the end of a worker and its successor: one that cannot run must not take all the CPU
_END_SECONDS = 5.0  # for a worker to end when its socket is closed
_GENERATIONS = count(1)  # of configurations
_NO_GENERATION = 0

log = structlog.get_logger()


class WorkerPool:
    """`number` processes, from `async with` on until its end. Each server has one of them, always the same.

    A worker that dies is replaced; what it was asked is asked once more of its successor. They log as they are told.
    """

    def __init__(self, number: int, log_level: str, log_format: str) -> None:
        self._workers = [WorkerHandle(index, (log_level, log_format), self._on_lag) for index in range(number)]
        self.on_lag: Callable[[float], object] = lambda _: None
        """Gets the lags of all event loops, in seconds."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for worker in self._workers:
            await self._stack.enter_async_context(worker)
        await asyncio.gather(*(worker.ready() for worker in self._workers))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def pids(self) -> Iterator[int]:
        """Of those that run."""
        return (worker.pid for worker in self._workers if worker.pid)

    def of(self, name: ServerName) -> "WorkerHandle":
        return self._workers[shards.bucket(shards.digest(name, b"worker"), len(self._workers))]

    @property
    def restarts(self) -> int:
        return sum(worker.restarts for worker in self._workers)

    def _on_lag(self, lags: Iterable[float]) -> None:
        for lag in lags:
            self.on_lag(lag)

    def prober(self, config: Config, local: SupportsProbe) -> "WorkerProber":
        return WorkerProber(self, config, local)


class WorkerProber:
    """Probes in a worker. Raises WorkerLostError where two workers in a row ended in the middle of a probe.

    Workers share the exporter's own network, so the `local` prober looks for outages.
    """

    def __init__(self, workers: WorkerPool, config: Config, local: SupportsProbe) -> None:
        self._workers = workers
        self._local = local
        self._use = UseConfig(next(_GENERATIONS), replace(config, servers=()))

    async def probe(self, name: ServerName, within: float | None = None) -> Report:
        return await self._ask(name, ProbeTask(name, within))

    async def run_deep_look(self, report: Report) -> Report:
        """The report as it was where there is nobody left to look."""
        try:
            return await self._ask(report.server_name, DeepLookTask(report))
        except WorkerLostError:
            return report

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        return await self._local.find_outage(witnesses, check_dns=check_dns)

    async def _ask(self, name: ServerName, question: WorkerTask) -> Report:
        worker = self._workers.of(name)
        try:
            return await worker.ask(question, self._use)
        except WorkerLostError:
            return await worker.ask(question, self._use)


class WorkerHandle:
    """One process after the other."""

    def __init__(self, index: int, options: tuple[str, str], on_lag: Callable[[Iterable[float]], object]) -> None:
        self.pid: int | None = None
        """None between the end of one process and the start of the next."""
        self.restarts = 0
        self._index = index
        self._options = options
        self._on_lag = on_lag
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Report]] = {}
        self._up = asyncio.Event()
        self._generation = _NO_GENERATION

    async def __aenter__(self) -> Self:
        await self._start()
        self._supervising = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._supervising.cancel()
        await asyncio.wait([self._supervising])
        await self._end()

    async def ready(self) -> None:
        await self._up.wait()

    async def ask(self, question: WorkerTask, use: UseConfig) -> Report:
        """Raises LostError."""
        await self.ready()
        if use.generation > self._generation:  # a deep look may still belong to the configuration before
            self._generation = use.generation
            send(self._writer, use)
        number = next(self._numbers)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        send(self._writer, Request(number, question))
        try:
            return await answer
        except asyncio.CancelledError:
            send(self._writer, Cancel(number))
            raise
        finally:
            self._waiting.pop(number, None)

    # ------------------------------------------------------------ its processes

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        with theirs:
            inherited = theirs.fileno()
            command = [sys.executable, "-m", "exporter.worker", str(inherited), *self._options]
            self._process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, pass_fds=[inherited])
        self._generation = _NO_GENERATION
        self.pid = self._process.pid

    async def _supervise(self) -> None:
        while True:
            await self._read_answers()
            self._lose()
            await self._end()
            log.error("a worker ended: starting another", worker=self._index, status=self._process.returncode)
            await asyncio.sleep(RESTART_SECONDS)
            await self._start()
            self.restarts += 1

    async def _read_answers(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                match await receive(self._reader):
                    case Ready():
                        self._up.set()
                    case LagSamples(seconds):
                        self._on_lag(seconds)
                    case Reply(number, report) if waiting := self._waiting.pop(number, None):
                        _resolve_future(waiting, report)

    def _lose(self) -> None:
        self.pid = None
        self._up.clear()
        for waiting in self._waiting.values():
            _resolve_future(waiting, None)
        self._waiting.clear()

    async def _end(self) -> None:
        """It ends by itself when its socket is closed, or else is killed."""
        self._writer.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _resolve_future(waiting: asyncio.Future[Report], report: Report | None) -> None:
    if waiting.done():
        return
    if report is None:
        waiting.set_exception(WorkerLostError)
    else:
        waiting.set_result(report)
