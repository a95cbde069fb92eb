"""What the exporter says of itself on `/metrics`. Set where things happen, unlike what it says of the servers."""

from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    disable_created_metrics,
)

from exporter import VERSION
from exporter.metrics.families import PREFIX
from exporter.metrics.processes import Processes, ProcessGroup
from exporter.model.enums import Stage
from exporter.model.outcomes import Skipped
from exporter.model.report import Report
from exporter.model.shards import Shard

NAMESPACE = f"{PREFIX}exporter"
_LAG_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
)  # seconds; a healthy loop is below 0.1
_STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds; 30 is the default of a probe


class SkipReason(StrEnum):
    """Why a probe that was due did not run. A closed list."""

    OVERLAP = "overlap"
    """The one before it was still running."""
    MISSED = "missed"
    """Its time had passed by more than is allowed."""
    SHUTDOWN = "shutdown"
    """The exporter was stopping."""
    WORKER_LOST = "worker_lost"
    """The process that probed it ended, and so did the one that took its place."""
    NO_RESOURCES = "no_resources"
    """The exporter had no file descriptor, no memory or no time of the processor left for it."""


class ExporterMetrics:
    """One registry of its own for every object, and nothing in the library's global one."""

    def __init__(self, shard: Shard | None = None, staff: ProcessGroup | None = None) -> None:
        # Else every counter and histogram brings a `_created` series with it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        Info("build", "1; the version of the exporter.", namespace=NAMESPACE, registry=registry).info(
            {"version": VERSION}
        )
        shard = shard or Shard()
        Info("shard", "1; which part of the servers is watched.", namespace=NAMESPACE, registry=registry).info(
            {"index": str(shard.index), "count": str(shard.count)}
        )
        self.config_last_reload_successful = Gauge(
            "config_last_reload_successful",
            "1: the latest configuration was read and is in use.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.config_last_reload_success_timestamp = Gauge(
            "config_last_reload_success_timestamp_seconds",
            "When a configuration was last read and put to use.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.connectivity_up = Gauge(
            "connectivity_up",
            "0: the exporter's own network is down, so that failures are not blamed on the servers; 1: else.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.servers = Gauge("servers", "Servers that are watched.", namespace=NAMESPACE, registry=registry)
        self.probes_in_flight = Gauge(
            "probes_in_flight", "Probes that run at this moment.", namespace=NAMESPACE, registry=registry
        )
        self.probes_skipped = Counter(
            "probes_skipped",
            "Probes that were due and did not run.",
            ("reason",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.unreliable_timings = Counter(
            "unreliable_timings",
            "Probes whose durations are not shown, because the event loop was late.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "event_loop_lag_seconds",
            "How much later than due the event loop came to a task, twenty times a second; of all processes.",
            namespace=NAMESPACE,
            registry=registry,
            buckets=_LAG_BUCKETS,
        )
        self.schedule_lag = Histogram(
            "schedule_lag_seconds",
            "How much later than planned a probe started.",
            namespace=NAMESPACE,
            registry=registry,
            buckets=_LAG_BUCKETS,
        )
        self.stage_duration = Histogram(
            "stage_duration_seconds",
            "Durations of the stages that ran, of all servers and endpoints.",
            ("probe_stage",),
            namespace=NAMESPACE,
            registry=registry,
            buckets=_STAGE_BUCKETS,
        )
        self.list_servers = Gauge(
            "list_servers",
            "Servers on a list that comes from elsewhere, by its latest good answer.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.list_last_success_timestamp = Gauge(
            "list_last_success_timestamp_seconds",
            "When a list that comes from elsewhere was last read; 0 until then.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.list_failures = Counter(
            "list_failures",
            "How often a list that comes from elsewhere could not be read, or not be used.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self._begin_at_zero()
        registry.register(Processes(NAMESPACE, staff))
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def observe(self, report: Report) -> None:
        """To be called once for every probe that ended."""
        if report.timings_unreliable:
            self.unreliable_timings.inc()
            return
        for stage, _, outcome in report.outcomes():
            if not isinstance(outcome, Skipped):
                self.stage_duration.labels(stage).observe(outcome.seconds)

    def begin_list(self, url: str) -> None:
        for metric in (self.list_servers, self.list_last_success_timestamp, self.list_failures):
            metric.labels(url)

    def list_was_read(self, url: str, servers: int) -> None:
        self.list_servers.labels(url).set(servers)
        self.list_last_success_timestamp.labels(url).set_to_current_time()

    def forget_list(self, url: str) -> None:
        for metric in (self.list_servers, self.list_last_success_timestamp, self.list_failures):
            metric.remove(url)

    def _begin_at_zero(self) -> None:
        """A counter that appears with its first event hides that event from `increase()`."""
        for reason in SkipReason:
            self.probes_skipped.labels(reason)
        for stage in Stage:
            self.stage_duration.labels(stage)
