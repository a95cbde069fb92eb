"""The `process_*` metrics, which include the workers, and the metrics about workers."""

import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client import Metric, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_CPU = "process_cpu_seconds"
_AGGREGATIONS: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {
    _CPU: sum,
    "process_resident_memory_bytes": sum,
    "process_virtual_memory_bytes": sum,
    "process_open_fds": max,  # each process has a limit of its own: the one that is nearest to its limit counts
}
"""How the values of all processes are combined. All other metrics are those of the exporter's main process."""


class ProcessGroup(Protocol):
    """The worker processes, as far as their metrics need them."""

    @property
    def restarts(self) -> int: ...

    def pids(self) -> Iterable[int]: ...


class ProcessMetrics(Collector):
    """Collects the `process_*` metrics of the exporter and its workers, and the number of workers and of restarts."""

    def __init__(self, namespace: str, workers: ProcessGroup | None) -> None:
        self._namespace = namespace
        self._workers = workers
        # One for all scrapes: the start time is calculated from the time of boot, which changes when the clock is set.
        self._own = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        pids = list(self._workers.pids()) if self._workers else []
        worker_values = [_process_values(pid) for pid in pids]
        for metric in self._own.collect():
            if worker_values and (aggregate := _AGGREGATIONS.get(metric.name)):
                (sample,) = metric.samples
                others = (values[metric.name] for values in worker_values if metric.name in values)
                value = aggregate([sample.value, *others]) + _ended_children_seconds(metric.name)
                metric.samples = [sample._replace(value=value)]
            yield metric
        restarts = self._workers.restarts if self._workers else 0
        yield GaugeMetricFamily(f"{self._namespace}_workers", "Number of worker processes that are running.", len(pids))
        yield CounterMetricFamily(
            f"{self._namespace}_worker_restarts", "How often a worker process ended and was replaced.", restarts
        )


def _process_values(pid: int) -> dict[str, float]:
    """Return the values of a process by metric; none if it has just ended."""
    return {
        metric.name: metric.samples[0].value for metric in ProcessCollector(pid=lambda: pid, registry=None).collect()
    }


def _ended_children_seconds(name: str) -> float:
    """Return the CPU time of workers that have ended, so that the counter does not go down; 0 for other metrics."""
    if name != _CPU:
        return 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
