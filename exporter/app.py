"""The exporter as a whole: builds the parts of `serve`, starts, reloads and stops them."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import structlog

from exporter import wiring
from exporter.config import Complaint, Config, ConfigError, HostPort, load
from exporter.metrics import exposition
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.names import ServerName
from exporter.model.shards import Shard
from exporter.reports.board import Board
from exporter.runtime import event_loop
from exporter.runtime.loop_lag import LoopLag
from exporter.scheduling.schedule import FIRST_ROUND_SECONDS, Schedule
from exporter.scheduling.single_flight import ActiveConfig, ProbeRunner
from exporter.server_lists import file_sd
from exporter.server_lists.file_sd import ServerFiles
from exporter.server_lists.follow import ListFollower
from exporter.web.api.queries import ReportQueries
from exporter.web.guard import Guard
from exporter.web.listeners import bind, bound_address
from exporter.web.pages import SiteContext, build_site
from exporter.web.server import Server
from exporter.web.settings.live_config import LiveWebConfig
from exporter.workers.pool import WorkerPool

_REREAD_SECONDS = 30.0  # how long a change of a server file may go unnoticed

log = structlog.get_logger()


class App:
    """Probes and serves within `async with`, which raises ConfigError or ListenError where it cannot begin.

    `listen` overrides `web.listen`; `web` says who may ask; of all servers only those of `shard` are watched; `workers`
    probe, where there are any, and else this process; `first_round` is that of the schedule; server files are read
    again every `reread` seconds.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own
        self,
        config_file: Path,
        *,
        listen: Sequence[HostPort] = (),
        web: LiveWebConfig | None = None,
        lifecycle: bool = False,
        shard: Shard | None = None,
        workers: WorkerPool | None = None,
        first_round: float = FIRST_ROUND_SECONDS,
        reread: float = _REREAD_SECONDS,
    ) -> None:
        self._config_file = config_file
        self._listen = tuple(listen)
        self._web = web or LiveWebConfig(None)
        self._reread = reread
        self._shard = shard or Shard()
        self._workers = workers
        self.exporter_metrics = ExporterMetrics(self._shard, workers)
        self.board = Board(exposition.render_lines, lambda: datetime.now(UTC))
        self._lag = LoopLag(self.exporter_metrics.event_loop_lag.observe)
        if workers:
            workers.on_lag = self.exporter_metrics.event_loop_lag.observe
        self._runner = ProbeRunner(
            self.board, self.exporter_metrics, lambda: self._active, lambda: self._schedule.limiter
        )
        self._schedule = Schedule(self._runner.run_scheduled, self.exporter_metrics, first_round=first_round)
        self._listed: frozenset[ServerName] = frozenset()
        self.queries = ReportQueries(
            self.board, self._runner, lambda: self._active.config, lambda name: name in self._listed
        )
        self._site = build_site(
            SiteContext(
                self.board,
                self.exporter_metrics,
                lambda: self.ready,
                self.reload if lifecycle else None,
                self.queries,
                lambda: self._runner.outage_detector.outage,
            )
        )
        self._files = ServerFiles(())
        self._lists = ListFollower(self._watch_again, self.exporter_metrics)
        self._changing = asyncio.Lock()
        self._active: ActiveConfig
        self._server: Server
        self._stack: AsyncExitStack
        self.ready = False
        """The configuration is read, and the schedule runs."""
        self.addresses: tuple[HostPort, ...] = ()
        """Where it listens, with real ports."""

    # ------------------------------------------------------------ from the beginning to the end

    async def __aenter__(self) -> Self:
        self._web.read()
        self._active = await asyncio.to_thread(self._read)
        async with AsyncExitStack() as stack:
            sockets = bind(self._listen or self._active.config.web.listen)
            server = Server(Guard(self._site, self._web), sockets, self._web.tls())
            self._server = await stack.enter_async_context(server)
            self.addresses = tuple(map(bound_address, sockets))
            loop = type(asyncio.get_running_loop()).__module__  # such as uvloop
            log.info("listening", addresses=", ".join(map(str, self.addresses)), event_loop=loop)
            await stack.enter_async_context(self._lag)
            if self._workers:
                await stack.enter_async_context(self._workers)
            await stack.enter_async_context(self._runner)
            await stack.enter_async_context(self._schedule)
            await self._put_to_use(self._active)
            self.ready = True
            stack.push_async_callback(self._let_nothing_change)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        log.info("stopping")
        await self._stack.aclose()

    async def _let_nothing_change(self) -> None:
        async with self._changing:
            self.ready = False

    async def until(self, stop: asyncio.Event, hangup: asyncio.Event) -> None:
        """Returns at `stop`, and reloads at every `hangup`; raises what a part of the exporter died of."""
        watches = [
            asyncio.create_task(watch)
            for watch in (
                stop.wait(),
                self._reload_at_every(hangup),
                self._read_server_files_again(),
                self._lists.run(),
            )
        ]
        try:
            done, _ = await asyncio.wait([*watches, self._server.serving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for watch in watches:
                watch.cancel()
        for ended in done:
            ended.result()

    # ------------------------------------------------------------ configurations

    def _read(self) -> ActiveConfig:
        """Raises ConfigError. Blocks on the disk."""
        config = load(self._config_file)
        prober = wiring.build_prober(config, self._lag.stalled_seconds)
        return ActiveConfig(config, self._workers.prober(config, prober) if self._workers else prober)

    async def reload(self) -> tuple[Complaint, ...]:
        """Puts the configuration file to use as it is now. Where there are complaints, everything stays as it was."""
        async with self._changing:
            try:
                self._web.read()
                fresh = await asyncio.to_thread(self._read)
            except ConfigError as error:
                self._refuse(error.complaints)
                return error.complaints
            if not self.ready:
                return (Complaint(str(self._config_file), None, "", "the exporter is stopping: start it again"),)
            self._compare_listen(fresh.config)
            await self._put_to_use(fresh)
            return ()

    def _refuse(self, complaints: Sequence[Complaint]) -> None:
        self.exporter_metrics.config_last_reload_successful.set(0)
        for complaint in complaints:
            log.error("configuration not put to use", complaint=str(complaint))

    def _compare_listen(self, config: Config) -> None:
        if config.web.listen != self._active.config.web.listen and not self._listen:
            log.warning("a reload does not change web.listen: restart the exporter", listening=self.addresses)

    async def _put_to_use(self, fresh: ActiveConfig) -> None:
        """Probes that run go on as they began."""
        self._files.patterns = fresh.config.server_files
        await self._refresh_files()
        self._active = fresh
        self._lists.follow(wiring.build_server_lists(fresh.config))
        self._watch()
        self.exporter_metrics.config_last_reload_successful.set(1)
        self.exporter_metrics.config_last_reload_success_timestamp.set_to_current_time()

    async def _read_server_files_again(self) -> None:
        while True:
            await asyncio.sleep(self._reread)
            async with self._changing:
                if await self._refresh_files():
                    self._watch()

    async def _refresh_files(self) -> bool:
        changed = await asyncio.to_thread(self._files.refresh)
        if changed:
            for complaint in self._files.complaints:
                log.warning("server file not put to use", complaint=str(complaint))
        return changed

    async def _watch_again(self) -> None:
        async with self._changing:
            self._watch()

    def _watch(self) -> None:
        config = self._active.config
        listed = file_sd.merge_servers(config, (*self._files.names, *self._lists.names))
        self._listed = frozenset(server.server_name for server in listed)
        watched = self._shard.part(listed)
        self.board.watch(watched)
        self._schedule.watch(watched, config.probe.concurrency)
        self.exporter_metrics.servers.set(len(watched))
        event_loop.collect_garbage_for(len(watched))
        log.info("watching", servers=len(watched))

    async def _reload_at_every(self, hangup: asyncio.Event) -> None:
        while True:
            await hangup.wait()
            hangup.clear()
            await self.reload()
