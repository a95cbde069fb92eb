"""The metrics of the exporter itself. They are set when something happens, unlike the metrics of the servers."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Self

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
from exporter.metrics.processes import ProcessGroup, ProcessMetrics
from exporter.model.enums import IPFamily, Resource, Stage
from exporter.model.outcomes import Skipped
from exporter.model.reasons import REASONS_OF_PROXY, Reason
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.model.servers import DEFAULT_GROUP
from exporter.model.shards import Shard

NAMESPACE = f"{PREFIX}exporter"
_MAX_LIST_LABEL = 4096  # characters; no path is longer
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
)  # seconds; the lag of a healthy loop is below 0.1
_STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds; a probe has 30 by default


class SkipReason(StrEnum):
    """Why a probe that was due did not run, or has no result. A closed list."""

    OVERLAP = "overlap"
    """The previous probe of the server was still running."""
    MISSED = "missed"
    """It had not started when the next probe of the server was due."""
    SHUTDOWN = "shutdown"
    """The exporter was stopping."""
    COSTLY = "costly"
    """An earlier probe of the server took much CPU time, so it is probed less often."""
    WORKER_LOST = "worker_lost"
    """The worker ended during the probe, and so did its replacement."""
    NO_FILE_DESCRIPTORS = "no_file_descriptors"
    NO_MEMORY = "no_memory"
    NO_LOCAL_PORTS = "no_local_ports"
    """The exporter had none left for the probe."""
    NO_CONNECTIONS = "no_connections"
    """Too many probes at the same time connected to one of the server's addresses."""
    NO_CPU_TIME = "no_cpu_time"
    """The exporter stood still while a response may have arrived."""

    @classmethod
    def lacking(cls, resource: Resource) -> Self:
        return cls(f"no_{resource}")


class ExporterMetrics:
    """The metrics of one exporter, in a registry of their own: the library's global registry stays empty.

    `shard` and `workers` are those of the exporter, if it has any.
    """

    def __init__(self, shard: Shard | None = None, workers: ProcessGroup | None = None) -> None:
        # Otherwise every counter and histogram has a `_created` series too.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        # The `process_*` metrics have no names before they are collected, and a scrape may ask for them by name.
        self.registry = registry = CollectorRegistry(support_collectors_without_names=True)
        Info("build", "Version of the exporter. The value is always 1.", namespace=NAMESPACE, registry=registry).info(
            {"version": VERSION}
        )
        shard = shard or Shard()
        Info(
            "shard",
            "The shard of the servers that the exporter watches. The value is always 1.",
            namespace=NAMESPACE,
            registry=registry,
        ).info({"index": str(shard.index), "count": str(shard.count)})
        self.config_last_reload_successful = Gauge(
            "config_last_reload_successful",
            "1 if the latest configuration is in use, 0 if it was invalid and the previous one is still in use.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.config_last_reload_success_timestamp = Gauge(
            "config_last_reload_success_timestamp_seconds",
            "When a valid configuration was last loaded.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.connectivity_up = Gauge(
            "connectivity_up",
            "1 if the exporter's own network is up, 0 if it is down. While it is 0, failures are not attributed to"
            " servers. Each network has a sample, with the first group whose servers are probed over it.",
            ("group",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.ip_family_up = Gauge(
            "ip_family_up",
            "1 if the exporter's machine has a route to the Internet over the IP family, or network.ip_families names"
            " it; 0 otherwise. No server is blamed for addresses to which there is no route. Each network has samples,"
            " with the first group whose servers are probed over it.",
            ("group", "ip_family"),
            namespace=NAMESPACE,
            registry=registry,
        )
        self._proxy_failures = Counter(
            "proxy_failures",
            "Number of probes that say nothing about a server, because a proxy of network.proxy failed. Missing without"
            " a proxy.",
            ("proxy", "reason"),
            namespace=NAMESPACE,
            registry=registry,
        )
        self._proxies: frozenset[str] = frozenset()
        self.outbound_ready = Gauge(
            "outbound_ready",
            "1 if the exporter reaches its own listener for other servers under its own name, 0 if not. While it is 0"
            " for outbound.server_name, no server is blamed for not reaching it; while it is 0 for a name of"
            " outbound.by_family, none for that IP family. Missing if outbound is not configured.",
            ("own_name",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.servers = Gauge("servers", "Number of watched servers.", namespace=NAMESPACE, registry=registry)
        self.probes_in_flight = Gauge(
            "probes_in_flight", "Number of probes in flight.", namespace=NAMESPACE, registry=registry
        )
        self.probes_skipped = Counter(
            "probes_skipped",
            "Number of probes that were due but did not run, or have no result.",
            ("reason",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.unreliable_timings = Counter(
            "unreliable_timings",
            "Number of probes whose durations are not exported, because the event loop stalled during the probe.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.costly_probes = Counter(
            "costly_probes",
            "Number of probes that took much CPU time. The log names their servers, which are probed less often.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.repeated_probes = Counter(
            "repeated_probes",
            "Number of probes that were repeated without costly servers beside them, because the event loop stalled.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "event_loop_lag_seconds",
            "How late the event loop ran a task that is due twenty times a second, in all processes.",
            namespace=NAMESPACE,
            registry=registry,
            buckets=_LAG_BUCKETS,
        )
        self.schedule_lag = Histogram(
            "schedule_lag_seconds",
            "How late probes started, compared with the schedule.",
            namespace=NAMESPACE,
            registry=registry,
            buckets=_LAG_BUCKETS,
        )
        self.stage_duration = Histogram(
            "stage_duration_seconds",
            "Durations of the stages that ran, for all servers and endpoints.",
            ("probe_stage",),
            namespace=NAMESPACE,
            registry=registry,
            buckets=_STAGE_BUCKETS,
        )
        self.list_servers = Gauge(
            "list_servers",
            "Number of servers in the latest usable content of a server list, which is a file, a URL or a Synapse.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.list_rejected_servers = Gauge(
            "list_rejected_servers",
            "Number of entries of a server list that are not watched, because they are invalid or too many.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.list_last_success_timestamp = Gauge(
            "list_last_success_timestamp_seconds",
            "When a server list was last read or fetched successfully; 0 if it never was.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self.list_failures = Counter(
            "list_failures",
            "How often a server list could not be read or fetched, or had no valid entry.",
            ("list",),
            namespace=NAMESPACE,
            registry=registry,
        )
        self._storage_up = Gauge(
            "storage_up",
            "1 if what happens is written to the file of storage.path, or if there is none; 0 if the file cannot be"
            " used. While it is 0, what happens is kept in memory, and written to the file as soon as it can be used.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self._storage_up.set(1)
        self._storage_size = Gauge(
            "storage_size_bytes",
            "Size of the file of storage.path and its write-ahead log; 0 if none is configured.",
            namespace=NAMESPACE,
            registry=registry,
        )
        self._list_metrics = (
            self.list_servers,
            self.list_rejected_servers,
            self.list_last_success_timestamp,
            self.list_failures,
        )
        self._initialize_labels()
        registry.register(ProcessMetrics(NAMESPACE, workers))
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def observe(self, report: Report) -> None:
        """Count a probe, and observe the durations of its stages. It must be called once for every report."""
        if report.timings_unreliable:
            self.unreliable_timings.inc()
            return
        for stage, _, outcome in report.outcomes():
            if not isinstance(outcome, Skipped):
                self.stage_duration.labels(stage).observe(outcome.seconds)

    def record_storage(self, up: bool, size: int) -> None:  # noqa: FBT001 - what it says is clear from its name
        """Record whether the history is written to its file, and the size of that file in bytes."""
        self._storage_up.set(up)
        self._storage_size.set(size)

    def record_outbound(self, own_name: str, *, ready: bool) -> None:
        """Record whether the listener for other servers was reached under the exporter's own name."""
        self.outbound_ready.labels(own_name).set(ready)

    def use_proxies(self, proxies: Iterable[str]) -> None:
        """Create the series of the proxies that are configured, and remove those of others."""
        before, self._proxies = self._proxies, frozenset(proxies)
        for reason in REASONS_OF_PROXY:
            for proxy in before - self._proxies:
                self._proxy_failures.remove(proxy, reason)
            for proxy in self._proxies:
                self._proxy_failures.labels(proxy, reason)

    def record_proxy_failure(self, proxy: str, reason: Reason) -> None:
        """Count a probe that a proxy spoiled. One that is not configured any more has no series."""
        if proxy in self._proxies:
            self._proxy_failures.labels(proxy, reason).inc()

    def add_list(self, name: str) -> None:
        """Create the series of a server list, so that one that never responds is seen. Its name is a path or a URL."""
        for metric in self._list_metrics:
            metric.labels(_list_label(name))

    def record_list(self, name: str, servers: int, rejected: int, *, is_applied: bool) -> None:
        """Record that a server list was read: how many servers of it are watched, and how many entries of the latest
        content are not. `is_applied` is False if it could not be read, or if that content cannot be used.
        """
        label = _list_label(name)
        self.list_servers.labels(label).set(servers)
        self.list_rejected_servers.labels(label).set(rejected)
        if is_applied:
            self.list_last_success_timestamp.labels(label).set_to_current_time()
        else:
            self.list_failures.labels(label).inc()

    def remove_list(self, name: str) -> None:
        """Remove the series of a server list."""
        for metric in self._list_metrics:
            metric.remove(_list_label(name))

    def _initialize_labels(self) -> None:
        """Create the series of all label values at 0: otherwise `increase()` does not see their first event."""
        for reason in SkipReason:
            self.probes_skipped.labels(reason)
        self.connectivity_up.labels(DEFAULT_GROUP)
        for family in IPFamily:
            self.ip_family_up.labels(DEFAULT_GROUP, family)
        for stage in Stage:
            self.stage_duration.labels(stage)


def _list_label(name: str) -> str:
    """A path may contain bytes that are not valid UTF-8, which no label value may."""
    return printable(name, _MAX_LIST_LABEL)
