"""A worker process: `python -m exporter.worker DESCRIPTOR LOG_LEVEL LOG_FORMAT`.

It runs the tasks that it receives over an inherited socket, and ends when the socket is closed.
"""

import asyncio
import signal
import socket
import sys
from asyncio import StreamWriter
from contextlib import suppress
from functools import partial

import structlog

from exporter import wiring
from exporter.model.report import Report
from exporter.probing.prober import Prober
from exporter.runtime import event_loop, logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.runtime.loop_lag import LoopLag
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

_LAGS_PER_MESSAGE = 20  # which is one message a second

log = structlog.get_logger()


async def _main(descriptor: int) -> None:
    """Run tasks until the exporter closes the socket or ends, however it ends. Signals are for the exporter only."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    send(writer, Ready())
    runner = _TaskRunner(writer)
    async with runner.lag:
        with suppress(EOFError, OSError):
            while True:
                await runner.handle(await receive(reader))


class _TaskRunner:
    """Handles messages: runs tasks with the latest configuration, and sends the replies."""

    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer
        self._lags: list[float] = []
        self.lag = LoopLag(self._on_lag)
        self._running: dict[int, asyncio.Task[None]] = {}
        """By request ID."""
        self._probers: dict[str, Prober] = {}
        """By the name of the group."""

    async def handle(self, message: object) -> None:
        match message:
            case UseConfig(config=config, workers=workers):
                networks = await asyncio.to_thread(partial(wiring.build_networks, config, processes=workers))
                self._probers = wiring.build_probers(config, networks, self.lag.stalled_seconds)
            case Request(request_id):
                running = asyncio.create_task(self._run_and_reply(message))
                self._running[request_id] = running
                running.add_done_callback(lambda _: self._running.pop(request_id))
            case Cancel(request_id) if request_id in self._running:
                self._running[request_id].cancel()

    def _on_lag(self, lag: float) -> None:
        self._lags.append(lag)
        if len(self._lags) >= _LAGS_PER_MESSAGE:
            send(self._writer, LagSamples(tuple(self._lags)))
            self._lags.clear()

    async def _run_and_reply(self, request: Request) -> None:
        report = None
        try:
            if prober := self._probers.get(request.task.group):
                report = await _run(prober, request.task)
        except Exception:
            log.exception("internal error in a worker")
        send(self._writer, Reply(request.request_id, report))


async def _run(prober: Prober, task: WorkerTask) -> Report:
    match task:
        case ProbeTask(server_name=server_name, max_seconds=max_seconds):
            return await prober.probe(server_name, max_seconds)
        case DeepLookTask(report=report):
            return await prober.run_deep_look(report)


if __name__ == "__main__":
    descriptor, log_level, log_format = sys.argv[1:]
    logs.configure(LogLevel(log_level), LogFormat(log_format))
    event_loop.run(_main(int(descriptor)))
