"""The whole exporter: builds the parts of `serve`, and starts, reloads and stops them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import structlog

from exporter import wiring
from exporter.app import board_changes
from exporter.app.reloading import Complaints, Reloads
from exporter.config import Complaint, Config, ConfigError, HostPort, load
from exporter.history.storage.storage import Storage
from exporter.metrics import exposition
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.names import ServerName
from exporter.model.servers import DEFAULT_GROUP
from exporter.model.shards import Shard
from exporter.probing.network import Network
from exporter.probing.prober import SupportsProbe
from exporter.reports.board import Board, Snapshot, WatchChanges
from exporter.reports.report_json import report_json
from exporter.runtime import event_loop
from exporter.runtime.loop_lag import LoopLag
from exporter.runtime.systemd import ServiceManager
from exporter.scheduling import grid
from exporter.scheduling.active_config import ActiveConfig
from exporter.scheduling.own_network import OwnFamilies
from exporter.scheduling.schedule import FIRST_ROUND_SECONDS, Schedule
from exporter.scheduling.single_flight import ProbeRunner
from exporter.server_lists.file_follower import FileFollower
from exporter.server_lists.follow import ListFollower, log_overlaps
from exporter.server_lists.merging import select_servers
from exporter.web.api.queries import ReportQueries
from exporter.web.guard import Guard
from exporter.web.listeners import Listen, bind, bound_addresses, describe
from exporter.web.outbound_service import OutboundService
from exporter.web.server import Server
from exporter.web.settings.live_config import LiveWebConfig
from exporter.web.site import SiteContext, build_site
from exporter.workers.pool import WorkerPool

_STOPPING = "the exporter is stopping: start it again"
_REREAD_SECONDS = 30.0  # at most until a change of a server file is noticed

log = structlog.get_logger()


class App:
    """Probes servers and serves HTTP within `async with`, which raises ConfigError or ListenError if it cannot start.

    - `listen` overrides `web.listen` of the configuration.
    - `web` decides which requests are allowed; by default, all are.
    - `lifecycle` allows POST /-/reload.
    - `shard` restricts the servers that are watched.
    - `workers` do the probing; without them, this process does.
    - `service_manager` is told when the exporter starts, reloads and stops, and that it is alive.
    - `first_round` is the time in which the schedule probes all servers once, in seconds.
    - `reread` is the interval at which server files are read again, in seconds.
    """

    def __init__(  # noqa: PLR0913 - independent options
        self,
        config_file: Path,
        *,
        listen: Sequence[Listen] = (),
        web: LiveWebConfig | None = None,
        lifecycle: bool = False,
        shard: Shard | None = None,
        workers: WorkerPool | None = None,
        service_manager: ServiceManager | None = None,
        first_round: float = FIRST_ROUND_SECONDS,
        reread: float = _REREAD_SECONDS,
    ) -> None:
        self._config_file = config_file
        self._listen = tuple(listen)
        self._service_manager = service_manager or ServiceManager({})
        self._web = web or LiveWebConfig(None)
        self._reread = reread
        self._shard = shard or Shard()
        self._workers = workers
        self._complaint_about_workers = workers.complaint if workers else lambda: None
        self.exporter_metrics = ExporterMetrics(self._shard, workers)
        self.history = Storage(report_json, lambda: datetime.now(UTC), self.exporter_metrics.record_storage)
        self.board = Board(exposition.render_lines, lambda: datetime.now(UTC), self.history.record)
        self._lag = LoopLag(self.exporter_metrics.event_loop_lag.observe)
        if workers:
            workers.on_lag = self.exporter_metrics.event_loop_lag.observe
        self._outbound = OutboundService(self.exporter_metrics.record_outbound)
        self._runner = ProbeRunner(
            self.board,
            self.exporter_metrics,
            lambda: self._active,
            lambda: self._schedule.limiter,
            lambda: self._outbound.looks,
        )
        self._schedule = Schedule(self._runner.run_scheduled, self.exporter_metrics, first_round=first_round)
        self.board.follow = self._schedule.follow
        self.queries = ReportQueries(
            self.board,
            self._runner,
            lambda: self._active.config,
            lambda name: self._active.timeout_of(name),  # noqa: PLW0108 - `_active` is replaced
            lambda name: name in self._active.groups,
        )
        self._site = build_site(
            SiteContext(
                self.board,
                self.exporter_metrics,
                lambda: self.ready,
                self.reload if lifecycle else None,
                self.queries,
                self.history,
                lambda: self._runner.outages.down,
                self._complaint_about_workers,
                self._web.location.url,
            )
        )
        self._own_families = OwnFamilies(self.exporter_metrics)
        self._files = FileFollower(self.exporter_metrics)
        self._lists = ListFollower(self._watch_changed_lists, self.exporter_metrics)
        self._config_lock = asyncio.Lock()
        self._reloads = Reloads(self._reload_and_tell, (self._complaint(_STOPPING),))
        self._active: ActiveConfig
        self._server: Server
        self._stack: AsyncExitStack
        self.ready = False
        """Whether a configuration is applied and the schedule is running."""
        self.addresses: tuple[HostPort, ...] = ()
        """The addresses that it listens on, with the real ports; without Unix sockets."""

    def __repr__(self) -> str:
        state = "ready" if self.ready else "not ready"
        addresses = ", ".join(map(str, self.addresses)) or "nothing"
        return f"<{type(self).__name__} {self._config_file}: {state}, listening on {addresses}>"

    # ------------------------------------------------------------ start and stop

    async def __aenter__(self) -> Self:
        self._web.read()
        self._active = await asyncio.to_thread(self._read)
        async with AsyncExitStack() as stack:
            sockets = bind(self._listen or self._active.config.web.listen)
            await stack.enter_async_context(self.history.open(self._active.config.storage))
            server = Server(Guard(self._site, self._web), sockets, self._web.tls())
            self._server = await stack.enter_async_context(server)
            self.addresses = bound_addresses(sockets)
            log.info("listening", addresses=describe(sockets), event_loop=type(asyncio.get_running_loop()).__module__)
            await stack.enter_async_context(self._lag)
            if self._workers:
                await stack.enter_async_context(self._workers)
            await stack.enter_async_context(self._outbound.run(self._active.config.outbound))
            await stack.enter_async_context(self._runner)
            await stack.enter_async_context(self._schedule)
            await self._apply(self._active)
            self.ready = True
            self._service_manager.ready()
            stack.push_async_callback(self._prevent_reloads)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        log.info("stopping")
        self._service_manager.stopping()
        await self._stack.aclose()

    async def _prevent_reloads(self) -> None:
        self._reloads.cancel()
        async with self._config_lock:
            self.ready = False

    async def run(self, stop: asyncio.Event, hangup: asyncio.Event) -> None:
        """Return when `stop` is set, and reload whenever `hangup` is set. Raises the error of a part that fails."""
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (
                stop.wait(),
                self._reload_at_every(hangup),
                self._reread_server_files(),
                self._lists.run(),
                self._outbound.keep_checking(self._at_top_level),
                self._service_manager.keep_alive(self._complaint_about_workers),
            )
        ]
        try:
            done, _ = await asyncio.wait([*tasks, self._server.serving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in done:
            task.result()

    # ------------------------------------------------------------ configuration

    def _read(self) -> ActiveConfig:
        """Load the configuration file. Raises ConfigError. Blocks on the disk.

        The servers on lists, which are not read yet, are missing in its groups.
        """
        config = load(self._config_file)
        networks = wiring.build_networks(config)
        probers = wiring.build_probers(config, networks, self._lag.stalled_seconds)
        used = self._workers.probers(config, probers) if self._workers else probers
        return ActiveConfig(config, used, networks, {each.server_name: each.group for each in config.servers})

    def _at_top_level(self) -> tuple[SupportsProbe, Network]:
        return self._active.probers[DEFAULT_GROUP], self._active.networks[DEFAULT_GROUP]

    async def reload(self) -> Complaints:
        """Load and apply the configuration files. There are three cases:

        - Both files are valid: the configuration is applied, and there are no complaints.
        - One of them is invalid: the previous configuration stays in effect, and the complaints say why.
        - The exporter is stopping: nothing changes, and a complaint says so.

        Whoever asks while a reload is in progress shares the next one.
        """
        return await self._reloads.request()

    async def _reload_and_tell(self) -> Complaints:
        """Reload, tell the service manager, and log what is wrong."""
        self._service_manager.reloading()
        try:
            return await self._reload()
        except ConfigError as error:
            return self._record_refusal(error.complaints)
        except Exception:
            log.exception("internal error during a reload")
            return self._record_refusal([self._complaint("internal error, see the log")])
        finally:
            self._service_manager.ready()

    async def _reload(self) -> Complaints:
        """Raises ConfigError."""
        async with self._config_lock:
            self._web.read()
            fresh = await asyncio.to_thread(self._read)
            if not self.ready:
                return (self._complaint(_STOPPING),)
            self._warn_if_restart_is_needed(fresh.config)
            await self._apply(fresh)
            return ()

    def _complaint(self, sentence: str) -> Complaint:
        return Complaint(str(self._config_file), None, "", sentence)

    def _record_refusal(self, complaints: Sequence[Complaint]) -> Complaints:
        self.exporter_metrics.config_last_reload_successful.set(0)
        for complaint in complaints:
            log.error("configuration not applied", complaint=str(complaint))
        return tuple(complaints)

    def _warn_if_restart_is_needed(self, config: Config) -> None:
        before = self._active.config
        if config.web.listen != before.web.listen and not self._listen:
            log.warning("a reload does not change web.listen: restart the exporter", listening=self.addresses)
        if config.storage != before.storage:
            log.warning("a reload does not change storage: restart the exporter", path=str(before.storage.path))
        if config.outbound != before.outbound:
            log.warning("a reload does not change outbound: restart the exporter")

    async def _apply(self, fresh: ActiveConfig) -> None:
        """Probes in flight continue with the previous configuration."""
        self._files.follow(fresh.config.server_files, fresh.config.lists.max_servers)
        await self._files.refresh()
        self._own_families.record(wiring.ip_families(fresh.config))
        self.exporter_metrics.use_proxies(wiring.proxies(fresh.config))
        self._lists.follow(wiring.build_server_lists(fresh.config))
        await self._watch(fresh)
        self.exporter_metrics.config_last_reload_successful.set(1)
        self.exporter_metrics.config_last_reload_success_timestamp.set_to_current_time()

    async def _reread_server_files(self) -> None:
        while True:
            await asyncio.sleep(self._reread)
            async with self._config_lock:
                self._own_families.record(wiring.ip_families(self._active.config))
                if await self._files.refresh():
                    await self._watch(self._active)

    async def _watch_changed_lists(self) -> None:
        async with self._config_lock:
            await self._watch(self._active)

    async def _watch(self, active: ActiveConfig) -> None:
        """Watch all servers of a configuration, which becomes the active one with them: no server is probed over the
        network of a group that it is not in.
        """
        changes, groups = await asyncio.to_thread(self._find_changes, active.config, self.board.snapshot())
        self._active = replace(active, groups=groups)
        await self._runner.outages.follow(self._active)
        await board_changes.apply(changes, self.board, self.history.recall)
        await self._schedule.watch(self.board.scheduled(), active.config.probe.concurrency)
        event_loop.exempt_new_servers(len(changes.added))
        self.exporter_metrics.servers.set(self.board.size)
        log.info("watching", servers=self.board.size)

    def _find_changes(self, config: Config, before: Snapshot) -> tuple[WatchChanges, Mapping[ServerName, str]]:
        """Select the servers of this shard, in the order in which they are due, and find the groups of all servers."""
        selection = select_servers(config, self._files.listings, self._lists.listing)
        log_overlaps(selection.overlaps)
        groups = {server.server_name: server.group for server in selection.servers}
        return before.compare(sorted(self._shard.select(selection.servers), key=grid.order)), groups

    async def _reload_at_every(self, hangup: asyncio.Event) -> None:
        while True:
            await hangup.wait()
            hangup.clear()
            await self.reload()
