"""When each server is probed. The only place that knows APScheduler.

A server has its phase, from a hash of its name, and is due whenever the time since the epoch is its phase, modulo its
interval: so probes are spread evenly, and stay where they are over reloads and restarts.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_SUBMITTED, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from exporter.metrics.exporter_metrics import ExporterMetrics, SkipReason
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer
from exporter.scheduling.limiter import ProbeLimiter, Task, tracked, wait_or_cancel

FIRST_ROUND_SECONDS = 60.0  # all new servers are probed within it: an operator waits for the first results
FIRST_APART_SECONDS = 0.02  # of many servers the first round takes longer: a core must not be busy with nothing else
_GRACE_SECONDS = 5.0  # for probes in flight when the exporter stops; init systems wait for 10 s or more
_CLOCK_CHECK_SECONDS = 10.0  # how long a clock that was set back can hold up the probes
_CLOCK_TOLERANCE_SECONDS = 1.0  # between two checks NTP slews by some milliseconds; more is a step

log = structlog.get_logger()


# ---------------------------------------------------------------- pure


@dataclass(frozen=True, slots=True)
class ScheduleChanges:
    """From one set of watched servers to another, as far as the schedule is concerned."""

    added: tuple[WatchedServer, ...]
    rescheduled: tuple[WatchedServer, ...]
    """With another interval."""
    removed: tuple[ServerName, ...]


def diff(old: Iterable[WatchedServer], new: Iterable[WatchedServer]) -> ScheduleChanges:
    before = {server.server_name: server.interval for server in old}
    after = {server.server_name: server for server in new}
    return ScheduleChanges(
        added=tuple(server for name, server in after.items() if name not in before),
        rescheduled=tuple(
            server for name, server in after.items() if before.get(name, server.interval) != server.interval
        ),
        removed=tuple(name for name in before if name not in after),
    )


def fraction(name: ServerName) -> float:
    """From 0 to 1, evenly over all names; the same in every process and on every machine."""
    digest = hashlib.sha256(name.text.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


@dataclass(frozen=True, slots=True)
class Grid:
    """The times at which a server is due, as seconds since the epoch."""

    interval: float
    phase: float

    @classmethod
    def of(cls, server: WatchedServer) -> Self:
        return cls(server.interval, fraction(server.server_name) * server.interval)

    def at_or_after(self, when: float) -> float:
        return self.phase + math.ceil((when - self.phase) / self.interval) * self.interval

    def following(self, start: float) -> float:
        """The next one, but not sooner than half an interval after a start that was off the grid."""
        return self.at_or_after(start + self.interval / 2)

    def skipped_between(self, due: float, following: float) -> int:
        """How many lie between two that are not neighbours."""
        return max(0, math.floor((following - due) / self.interval - 0.5))

    def missed_by(self, due: float, now: float) -> int:
        """How many should have come from one that was due until now."""
        return max(0, math.floor((now - due) / self.interval) + 1)


class GridTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Once at `first`, then on the grid. APScheduler asks when what was late has been made up for: `now` counts too,
    or a clock that was set forward by a year would be followed step by step.
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


# ---------------------------------------------------------------- the clock


class Clock:
    """The wall clock, and whether it was set back. What it reads can be replaced, for tests."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self.now = wall
        self._steady = steady
        self._ahead = wall() - steady()

    def resync(self) -> None:
        """A plan is made by the clock as it is now: one that goes forward and soon back again has gone back too."""
        self._ahead = max(self._ahead, self.now() - self._steady())

    def seconds_set_back(self) -> float:
        """By how many seconds, since this was last asked, or heeded; 0 where it was not set."""
        before, self._ahead = self._ahead, self.now() - self._steady()
        went = before - self._ahead
        return went if went > _CLOCK_TOLERANCE_SECONDS else 0.0


# ---------------------------------------------------------------- the schedule


class Schedule:
    """Calls `probe` for every watched server, from `async with` on until its end.

    A new server is first probed within `first_round` seconds, or more where there are very many. Probes of one server
    never overlap. At the end nothing starts any more, and what is in flight is cancelled after `grace` seconds.
    """

    def __init__(
        self,
        probe: Callable[[ServerName], Awaitable[None]],
        exporter_metrics: ExporterMetrics,
        *,
        first_round: float = FIRST_ROUND_SECONDS,
        grace: float = _GRACE_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._probe = probe
        self._exporter_metrics = exporter_metrics
        self._first_round = first_round
        self._grace = grace
        self._clock = clock or Clock()
        self._watched: tuple[WatchedServer, ...] = ()
        self._limiter = ProbeLimiter(1)
        self._due: dict[str, float] = {}
        self._waiting: set[Task] = set()
        self._in_flight: set[Task] = set()
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._scheduler.add_listener(self._submitted, EVENT_JOB_SUBMITTED)
        self._scheduler.add_listener(self._overlapped, EVENT_JOB_MAX_INSTANCES)

    async def __aenter__(self) -> Self:
        self._scheduler.start(paused=True)
        self._following_clock = asyncio.create_task(self._follow_clock())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._scheduler.pause()
        self._following_clock.cancel()
        await asyncio.sleep(0)  # what was submitted just now takes its place in the queue
        for task in self._waiting:
            task.cancel()
        await wait_or_cancel(self._waiting | self._in_flight, self._grace)
        # Not before: it cancels at once what runs. It waits for a turn of the event loop, and so do we.
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)

    def watch(self, servers: Iterable[WatchedServer], concurrency: int) -> None:
        """Replaces the whole set. Servers that stay keep their phase, and probes that run go on."""
        before, self._watched = self._watched, tuple(servers)
        if concurrency != self._limiter.concurrency:
            self._limiter = ProbeLimiter(concurrency)
        difference = diff(before, self._watched)
        with self._paused():
            for name in difference.removed:
                self._scheduler.remove_job(name.text)
            for server in difference.rescheduled:
                self._reschedule(server)
            first_round = max(self._first_round, len(difference.added) * FIRST_APART_SECONDS)
            for server in difference.added:
                self._add(server, first_round)

    @property
    def limiter(self) -> ProbeLimiter:
        """Those of the configured concurrency, for whoever else probes."""
        return self._limiter

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Else APScheduler wakes up once for every job that is added."""
        self._scheduler.pause()
        try:
            yield
        finally:
            self._scheduler.resume()

    def _add(self, server: WatchedServer, first_round: float) -> None:
        wait = fraction(server.server_name) * min(first_round, server.interval)
        self._scheduler.add_job(
            self._run,
            GridTrigger(Grid.of(server), self._clock.now() + wait),
            args=[server.server_name],
            id=server.server_name.text,
            misfire_grace_time=None,  # late is better than never
            coalesce=True,
            max_instances=1,
        )

    def _reschedule(self, server: WatchedServer) -> None:
        """The next probe comes when it was planned, or sooner; what is overdue is made up for once."""
        job, grid, now = self._scheduler.get_job(server.server_name.text), Grid.of(server), self._clock.now()
        due = job.next_run_time.timestamp()
        if (overdue := job.trigger.grid.missed_by(due, now)) > 1:
            self._skip(job.id, SkipReason.MISSED, overdue - 1)
        first = min(due, grid.at_or_after(now))
        job.reschedule(GridTrigger(grid, first))

    # ------------------------------------------------------------ one probe

    async def _run(self, name: ServerName) -> None:
        """No cancellation gets out: it comes from our own end, and APScheduler would log it as an error."""
        due, limiter = self._due.pop(name.text), self._limiter
        with tracked(self._waiting):
            try:
                await limiter.acquire()
            except asyncio.CancelledError:
                self._exporter_metrics.probes_skipped.labels(SkipReason.SHUTDOWN).inc()
                return
        try:
            with tracked(self._in_flight), suppress(asyncio.CancelledError):
                await self._start(name, due)
        finally:
            limiter.release()

    async def _start(self, name: ServerName, due: float) -> None:
        self._exporter_metrics.schedule_lag.observe(max(0.0, self._clock.now() - due))
        with self._exporter_metrics.probes_in_flight.track_inprogress():
            await self._probe(name)

    # ------------------------------------------------------------ what APScheduler tells

    def _submitted(self, event: JobSubmissionEvent) -> None:
        """Comes before the job itself begins."""
        self._clock.resync()
        self._due[event.job_id] = event.scheduled_run_times[-1].timestamp()
        self._count_missed(event)

    def _overlapped(self, event: JobSubmissionEvent) -> None:
        self._clock.resync()
        self._skip(event.job_id, SkipReason.OVERLAP, 1)
        self._count_missed(event)

    def _count_missed(self, event: JobSubmissionEvent) -> None:
        job = self._scheduler.get_job(event.job_id)
        due, following = event.scheduled_run_times[-1].timestamp(), job.next_run_time.timestamp()
        if count := job.trigger.grid.skipped_between(due, following):
            self._skip(event.job_id, SkipReason.MISSED, count)

    def _skip(self, server_name: str, reason: SkipReason, count: int) -> None:
        self._exporter_metrics.probes_skipped.labels(reason).inc(count)
        log.warning("probe skipped", server_name=server_name, reason=reason.value, count=count)

    # ------------------------------------------------------------ the wall clock

    async def _follow_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_CHECK_SECONDS)
            self.follow_clock_changes()

    def follow_clock_changes(self) -> None:
        """Plans anew where the clock was set back: all that was due would be as far away as it went.

        A clock that is set forward makes everything due at once, which the limiter spread.
        """
        if not (went := self._clock.seconds_set_back()):
            return
        log.warning("the clock was set back: planning all probes anew")
        now = self._clock.now()
        with self._paused():
            for job in self._scheduler.get_jobs():
                grid, due = job.trigger.grid, job.next_run_time.timestamp()
                following = grid.at_or_after(now)
                if following < due and (count := grid.missed_by(due, now + went)):
                    self._skip(job.id, SkipReason.MISSED, count)
                job.modify(next_run_time=_utc(following))
