"""`python -m exporter.worker SOCKET LEVEL FORMAT`: answers over a socket that it inherits, to its end."""

import asyncio
import signal
import socket
import sys
from asyncio import StreamWriter
from contextlib import suppress

import structlog

from exporter import wiring
from exporter.model.report import Report
from exporter.probing.prober import Prober
from exporter.runtime import event_loop, logs
from exporter.runtime.log_options import LogFormat, LogLevel
from exporter.runtime.loop_lag import LoopLag
from exporter.workers.messages import Cancel, LagSamples, ProbeTask, Ready, Reply, Request, UseConfig, receive, send

_LAGS_AT_ONCE = 20  # one message a second

log = structlog.get_logger()


async def _main(descriptor: int) -> None:
    """Ends with whoever is at the other side, however that comes to its end: signals are for the other side alone."""
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, signal.SIG_IGN)
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    send(writer, Ready())
    worker = _TaskRunner(writer)
    async with worker.lag:
        with suppress(EOFError, OSError):
            while True:
                await worker.handle(await receive(reader))


class _TaskRunner:
    def __init__(self, writer: StreamWriter) -> None:
        self._writer = writer
        self._lags: list[float] = []
        self.lag = LoopLag(self._on_lag)
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._prober: Prober

    async def handle(self, instruction: object) -> None:
        match instruction:
            case UseConfig():
                self._prober = await asyncio.to_thread(
                    wiring.build_prober, instruction.config, self.lag.stalled_seconds
                )
            case Request():
                answering = asyncio.create_task(self._answer(instruction))
                self._answering[instruction.number] = answering
                answering.add_done_callback(lambda _: self._answering.pop(instruction.number))
            case Cancel(number) if number in self._answering:
                self._answering[number].cancel()

    def _on_lag(self, lag: float) -> None:
        self._lags.append(lag)
        if len(self._lags) >= _LAGS_AT_ONCE:
            send(self._writer, LagSamples(tuple(self._lags)))
            self._lags.clear()

    async def _answer(self, asked: Request) -> None:
        report = None
        try:
            report = await self._run_task(asked)
        except Exception:
            log.exception("a probe failed in a way that nobody thought of")
        send(self._writer, Reply(asked.number, report))

    async def _run_task(self, asked: Request) -> Report:
        match asked.question:
            case ProbeTask(server_name, within):
                return await self._prober.probe(server_name, within)
            case looks:
                return await self._prober.run_deep_look(looks.report)


if __name__ == "__main__":
    inherited, level, form = sys.argv[1:]
    logs.configure(LogLevel(level), LogFormat(form))
    event_loop.run(_main(int(inherited)))
