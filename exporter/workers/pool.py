"""The pool of workers, and the prober that uses it."""

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

RESTART_SECONDS = 1.0  # between the end of a worker and its replacement: one that cannot start must not use up the CPU
SILENT_SECONDS = 10  # a worker sends a message every second: one that sends none for so long stands still
_STARTING_SECONDS = 120  # until its first message
_END_SECONDS = 5.0  # for a worker to end after its socket is closed; then it is killed
_GENERATIONS = count(1)  # of configurations
_NO_GENERATION = 0

log = structlog.get_logger()


class WorkerPool:
    """`size` worker processes, which run within `async with`. Each server belongs to one worker, always the same.

    A worker that ends or stands still is replaced, and its requests are sent once more to the replacement. The workers
    log at `log_level` and in `log_format`.
    """

    def __init__(self, size: int, log_level: str, log_format: str) -> None:
        self._workers = [WorkerHandle(index, (log_level, log_format), self._on_lags) for index in range(size)]
        self.on_lag: Callable[[float], object] = lambda _: None
        """Called with each lag of the workers' event loops, in seconds."""
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<WorkerPool: {len(list(self.pids()))} of {len(self._workers)} running, {self.restarts} restarts>"

    async def __aenter__(self) -> Self:
        for worker in self._workers:
            await self._stack.enter_async_context(worker)
        await asyncio.gather(*(worker.wait_until_ready() for worker in self._workers))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def size(self) -> int:
        return len(self._workers)

    def pids(self) -> Iterator[int]:
        """Return the process IDs of the workers that are running."""
        return (worker.pid for worker in self._workers if worker.pid)

    def worker_for(self, name: ServerName) -> "WorkerHandle":
        return self._workers[shards.bucket(shards.digest(name, b"worker"), len(self._workers))]

    @property
    def restarts(self) -> int:
        return sum(worker.restarts for worker in self._workers)

    def complaint(self) -> str | None:
        """Return which workers have not responded for too long; None if all of them respond."""
        silent = [worker for worker in self._workers if worker.silent_seconds >= SILENT_SECONDS]
        if not silent:
            return None
        longest = max(worker.silent_seconds for worker in silent)
        return f"{len(silent)} of {len(self._workers)} workers have not responded for up to {longest} s"

    def _on_lags(self, lags: Iterable[float]) -> None:
        for lag in lags:
            self.on_lag(lag)

    def probers(self, config: Config, in_process: Mapping[str, SupportsProbe]) -> dict[str, "WorkerProber"]:
        """Return the prober of each group, by its name. `in_process` are those of this process."""
        use_config = UseConfig(next(_GENERATIONS), _without_servers(config), self.size)
        return {group: WorkerProber(self, use_config, group, prober) for group, prober in in_process.items()}


class WorkerProber:
    """Probes the servers of a group in workers. Raises WorkerLostError if two workers in a row end during a probe.

    All workers use the same networks, so the `in_process` prober finds outages.
    """

    def __init__(self, workers: WorkerPool, use_config: UseConfig, group: str, in_process: SupportsProbe) -> None:
        self._workers = workers
        self._use_config = use_config
        self._group = group
        self._in_process = in_process

    async def probe(self, name: ServerName, max_seconds: float | None = None) -> Report:
        return await self._run(name, ProbeTask(self._group, name, max_seconds))

    async def run_deep_look(self, report: Report) -> Report:
        """Return the report with a deep look, and the same report if the worker is lost."""
        try:
            return await self._run(report.server_name, DeepLookTask(self._group, report))
        except WorkerLostError:
            return report

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        return await self._in_process.find_outage(witnesses, check_dns=check_dns)

    async def _run(self, name: ServerName, task: WorkerTask) -> Report:
        worker = self._workers.worker_for(name)
        try:
            return await worker.run(task, self._use_config)
        except WorkerLostError:
            return await worker.run(task, self._use_config)


def _without_servers(config: Config) -> Config:
    return replace(config, groups=tuple(replace(group, servers=()) for group in config.groups))


class WorkerHandle:
    """One worker process, and its replacement whenever it ends; within `async with`.

    `options` are the worker's command-line options. `on_lags` is called with the lags of its event loop, in seconds.
    """

    def __init__(self, index: int, options: tuple[str, str], on_lags: Callable[[Iterable[float]], object]) -> None:
        self.pid: int | None = None
        """None between the end of a process and the start of the next one."""
        self.restarts = 0
        self.silent_seconds = 0
        """Since its latest message. A stall of this process counts as one second."""
        self._index = index
        self._options = options
        self._on_lags = on_lags
        self._request_ids = count()
        self._pending: dict[int, asyncio.Future[Report]] = {}
        """The requests that have no reply yet, by ID."""
        self._ready = asyncio.Event()
        self._generation = _NO_GENERATION
        """The latest configuration that was sent to the current process."""

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.pid else "not running"
        return f"<WorkerHandle: {state}, {len(self._pending)} pending requests, {self.restarts} restarts>"

    async def __aenter__(self) -> Self:
        await self._start_process()
        self._supervisor = asyncio.create_task(self._supervise())
        self._watchdog = asyncio.create_task(self._kill_whenever_silent())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._supervisor, self._watchdog):
            task.cancel()
        await asyncio.wait([self._supervisor, self._watchdog])
        await self._end_process()

    async def wait_until_ready(self) -> None:
        await self._ready.wait()

    async def run(self, task: WorkerTask, use_config: UseConfig) -> Report:
        """Run a task in the worker, with this configuration or a later one. Raises WorkerLostError."""
        await self.wait_until_ready()
        if use_config.generation > self._generation:  # a deep look may still have an older configuration
            self._generation = use_config.generation
            send(self._writer, use_config)
        request_id = next(self._request_ids)
        report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = report
        send(self._writer, Request(request_id, task))
        try:
            return await report
        except asyncio.CancelledError:
            send(self._writer, Cancel(request_id))
            raise
        finally:
            self._pending.pop(request_id, None)

    # ------------------------------------------------------------ its processes

    async def _start_process(self) -> None:
        own_end, worker_end = socket.socketpair()
        self._reader, self._writer = await asyncio.open_connection(sock=own_end)
        with worker_end:
            descriptor = worker_end.fileno()
            command = [sys.executable, "-m", "exporter.worker", str(descriptor), *self._options]
            self._process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, pass_fds=[descriptor])
        self._generation = _NO_GENERATION
        self.pid = self._process.pid

    async def _supervise(self) -> None:
        while True:
            await self._receive_messages()
            self._fail_pending()
            await self._end_process()
            log.error("a worker ended: starting another", worker=self._index, status=self._process.returncode)
            await asyncio.sleep(RESTART_SECONDS)
            await self._start_process()
            self.restarts += 1

    async def _kill_whenever_silent(self) -> None:
        """Kill the process whenever it stands still: it is replaced like any other that has ended."""
        while True:
            await asyncio.sleep(1)
            self.silent_seconds += 1
            limit = SILENT_SECONDS if self._ready.is_set() else _STARTING_SECONDS
            if self.pid and self.silent_seconds >= limit:
                log.error("a worker does not respond: ending it", worker=self._index, seconds=self.silent_seconds)
                with suppress(ProcessLookupError):
                    self._process.kill()

    async def _receive_messages(self) -> None:
        """Handle the worker's messages until it ends."""
        with suppress(EOFError, OSError):
            while True:
                message = await receive(self._reader)
                self.silent_seconds = 0
                match message:
                    case Ready():
                        self._ready.set()
                    case LagSamples(seconds):
                        self._on_lags(seconds)
                    case Reply(request_id, report) if pending := self._pending.pop(request_id, None):
                        _resolve(pending, report)

    def _fail_pending(self) -> None:
        """Raise WorkerLostError from all pending requests, as the worker has ended."""
        self.pid = None
        self._ready.clear()
        for pending in self._pending.values():
            _resolve(pending, None)
        self._pending.clear()

    async def _end_process(self) -> None:
        """Close the socket, on which the worker ends by itself, and kill the worker if it does not."""
        self._writer.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def _resolve(pending: asyncio.Future[Report], report: Report | None) -> None:
    """Set the result of a request: a report, or WorkerLostError if there is none. It may be cancelled already."""
    if pending.done():
        return
    if report is None:
        pending.set_exception(WorkerLostError)
    else:
        pending.set_result(report)
