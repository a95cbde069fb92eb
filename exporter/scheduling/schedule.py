"""When each server is probed, on its grid. Only this module and its job store use APScheduler."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_SUBMITTED, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.metrics.exporter_metrics import ExporterMetrics, SkipReason
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer
from exporter.runtime import event_loop
from exporter.scheduling.grid import Grid, diff, fraction, tick
from exporter.scheduling.job_store import JobStore
from exporter.scheduling.limiter import ProbeLimiter, Task, tracked, wait_or_cancel
from exporter.scheduling.wall_clock import WallClock

FIRST_ROUND_SECONDS = 60.0  # in which all new servers are first probed, as an operator waits for the results
FIRST_SPACING_SECONDS = 0.02  # makes the first round of many servers longer: it must not keep a core busy
_GRACE_SECONDS = 5.0  # for probes in flight when the exporter stops; init systems wait for 10 s or more
_BATCH = 100  # changes of the schedule, until the event loop gets its turn: 10 ms
_CLOCK_CHECK_SECONDS = 10.0  # how long a clock that was set back can delay the probes

_Change = TypeVar("_Change", WatchedServer, ServerName)

log = structlog.get_logger()


class GridTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Fires once at `first`, and then on the grid.

    If APScheduler is late, it asks for each time that has passed. So the next time is after `now`: otherwise, a clock
    that is set forward by a year would be followed step by step.
    """

    __slots__ = ("first", "grid")

    def __init__(self, grid: Grid, first: float) -> None:
        self.grid = grid
        self.first = first

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        if previous_fire_time is None:
            return _utc(self.first)
        return _utc(self.grid.following(max(previous_fire_time, now).timestamp()))


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# ---------------------------------------------------------------- the schedule


class Schedule:
    """Calls `probe` for every watched server, within `async with`.

    A new server is first probed within `first_round` seconds, or more if there are very many. Probes of one server
    never overlap. At the end, no probe starts any more, and those in flight are cancelled after `grace` seconds.
    """

    def __init__(
        self,
        probe: Callable[[ServerName], Awaitable[None]],
        exporter_metrics: ExporterMetrics,
        *,
        first_round: float = FIRST_ROUND_SECONDS,
        grace: float = _GRACE_SECONDS,
        clock: WallClock | None = None,
    ) -> None:
        self._probe = probe
        self._exporter_metrics = exporter_metrics
        self._first_round = first_round
        self._grace = grace
        self._clock = clock or WallClock()
        self._intervals: dict[ServerName, float] = {}
        """Of the watched servers, those in force."""
        self._limiter = ProbeLimiter(1)
        self._due: dict[str, float] = {}
        """The times at which the probes that APScheduler has submitted were due, by server name."""
        self._waiting: set[Task] = set()
        """Probes that wait for a slot."""
        self._in_flight: set[Task] = set()
        self._scheduler = AsyncIOScheduler(jobstores={"default": JobStore()}, timezone=UTC)
        self._scheduler.add_listener(self._on_submitted, EVENT_JOB_SUBMITTED)
        self._scheduler.add_listener(self._on_overlap, EVENT_JOB_MAX_INSTANCES)

    def __repr__(self) -> str:
        probes = f"{len(self._waiting)} waiting, {len(self._in_flight)} in flight"
        return f"<Schedule: {len(self._intervals)} servers, {probes}>"

    async def __aenter__(self) -> Self:
        self._scheduler.start(paused=True)
        self._clock_task = asyncio.create_task(self._check_clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scheduler.pause()
        self._clock_task.cancel()
        await asyncio.sleep(0)  # so that a probe that was submitted just now is among those that wait
        for task in self._waiting:
            task.cancel()
        await wait_or_cancel(self._waiting | self._in_flight, self._grace)
        # Not earlier: `shutdown` cancels running probes at once. It takes effect in the next iteration of the loop.
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)

    async def watch(self, servers: Iterable[WatchedServer], concurrency: int) -> None:
        """Replace the set of watched servers. Servers that stay keep their phase, and running probes continue.

        Their intervals are those in force. This takes a tenth of a millisecond for each change, and the event loop gets
        its turn in between. A second call must wait for the first one.
        """
        if concurrency != self._limiter.concurrency:
            self._limiter = ProbeLimiter(concurrency)
        changes = await asyncio.to_thread(diff, self._intervals.copy(), servers)
        await self._in_batches(changes.removed, self._remove)
        await self._in_batches(changes.rescheduled, self._reschedule)
        first_round = max(self._first_round, len(changes.added) * FIRST_SPACING_SECONDS)
        await self._in_batches(changes.added, lambda server: self._add(server, first_round))

    async def _in_batches(self, changes: Sequence[_Change], apply: Callable[[_Change], object]) -> None:
        async for batch in event_loop.in_batches(changes, _BATCH):
            with self._paused():
                for change in batch:
                    apply(change)

    @property
    def limiter(self) -> ProbeLimiter:
        """The limiter of the configured concurrency, for all other probes too."""
        return self._limiter

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Pause APScheduler: otherwise it wakes up once for every job that is added."""
        self._scheduler.pause()
        try:
            yield
        finally:
            self._scheduler.resume()

    def _remove(self, name: ServerName) -> None:
        del self._intervals[name]
        self._scheduler.remove_job(name.text)

    def _add(self, server: WatchedServer, first_round: float) -> None:
        self._intervals[server.server_name] = server.interval
        wait = fraction(server.server_name) * min(first_round, server.interval)
        self._scheduler.add_job(
            self._run,
            GridTrigger(Grid.of(server), tick(self._clock.now() + wait)),
            args=[server.server_name],
            id=server.server_name.text,
            misfire_grace_time=None,  # a late probe is better than none
            coalesce=True,
            max_instances=1,
        )

    def _reschedule(self, server: WatchedServer) -> None:
        """Move a server to the grid of its new interval. Its next probe is not later than it was planned."""
        self._intervals[server.server_name] = server.interval
        job, grid = self._scheduler.get_job(server.server_name.text), Grid.of(server)
        self._replan(job, grid, min(job.next_run_time.timestamp(), grid.at_or_after(self._clock.now())))

    def follow(self, server: WatchedServer) -> None:
        """Move a server to the grid of another interval, if its latest result has put that in force.

        There are two cases:

        - The interval is shorter than before: the next probe comes one interval from now, to confirm the result.
        - It is longer: the next probe is on the grid, so that servers that become dormant together are spread.
        """
        job = self._scheduler.get_job(server.server_name.text)  # None while `watch` adds or removes it
        if job is None or job.trigger.grid.interval == server.interval:
            return
        self._intervals[server.server_name] = server.interval
        grid, now = Grid.of(server), self._clock.now()
        is_shorter = server.interval < job.trigger.grid.interval
        self._replan(job, grid, now + server.interval if is_shorter else grid.following(now))

    def _replan(self, job: Any, grid: Grid, first: float) -> None:
        """If probes are overdue, one is made, and the others are missed."""
        due, now = job.next_run_time.timestamp(), self._clock.now()
        if (overdue := job.trigger.grid.missed_by(due, now)) > 1:
            self._count_skipped(job.id, SkipReason.MISSED, overdue - 1)
        self._clock.note_plan()
        job.reschedule(GridTrigger(grid, first))

    # ------------------------------------------------------------ one probe

    async def _run(self, name: ServerName) -> None:
        """Wait for a slot, and probe. No CancelledError is raised: APScheduler would log it as an error at shutdown."""
        due, limiter = self._due.pop(name.text), self._limiter
        with tracked(self._waiting):
            try:
                await limiter.acquire()
            except asyncio.CancelledError:
                self._exporter_metrics.probes_skipped.labels(SkipReason.SHUTDOWN).inc()
                return
        try:
            with tracked(self._in_flight), suppress(asyncio.CancelledError):
                await self._probe_and_measure(name, due)
        finally:
            limiter.release()

    async def _probe_and_measure(self, name: ServerName, due: float) -> None:
        self._exporter_metrics.schedule_lag.observe(max(0.0, self._clock.now() - due))
        with self._exporter_metrics.probes_in_flight.track_inprogress():
            await self._probe(name)

    # ------------------------------------------------------------ events of APScheduler

    def _on_submitted(self, event: JobSubmissionEvent) -> None:
        """Called before the job begins."""
        self._clock.note_plan()
        self._due[event.job_id] = event.scheduled_run_times[-1].timestamp()
        self._count_missed(event)

    def _on_overlap(self, event: JobSubmissionEvent) -> None:
        self._clock.note_plan()
        self._count_skipped(event.job_id, SkipReason.OVERLAP, 1)
        self._count_missed(event)

    def _count_missed(self, event: JobSubmissionEvent) -> None:
        job = self._scheduler.get_job(event.job_id)
        due, following = event.scheduled_run_times[-1].timestamp(), job.next_run_time.timestamp()
        if count := job.trigger.grid.skipped_between(due, following):
            self._count_skipped(event.job_id, SkipReason.MISSED, count)

    def _count_skipped(self, server_name: str, reason: SkipReason, count: int) -> None:
        self._exporter_metrics.probes_skipped.labels(reason).inc(count)
        log.warning("probe skipped", server_name=server_name, reason=reason.value, count=count)

    # ------------------------------------------------------------ the wall clock

    async def _check_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_CHECK_SECONDS)
            self.follow_clock_changes()

    def follow_clock_changes(self) -> None:
        """Reschedule all probes if the clock was set back.

        There are three cases:

        - It was slewed by less than a second since the last check: the plan holds.
        - It was set forward: every probe is due at once, and the limiter spreads them.
        - It was set back: every probe would be as late as it was set back, so they are rescheduled. Those that were due
          until now are missed.
        """
        if not (seconds := self._clock.seconds_set_back()):
            return
        log.warning("the clock was set back: rescheduling all probes")
        now = self._clock.now()
        with self._paused():
            for job in self._scheduler.get_jobs():
                grid, due = job.trigger.grid, job.next_run_time.timestamp()
                rescheduled = grid.at_or_after(now)
                if rescheduled < due and (count := grid.missed_by(due, now + seconds)):
                    self._count_skipped(job.id, SkipReason.MISSED, count)
                job.modify(next_run_time=_utc(rescheduled))
