"""`process_*` on `/metrics`: of the exporter and of its workers together."""

import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client import Metric, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_CPU = "process_cpu_seconds"
_COMBINED: Final[Mapping[str, Callable[[Iterable[float]], float]]] = {
    _CPU: sum,
    "process_resident_memory_bytes": sum,
    "process_virtual_memory_bytes": sum,
    "process_open_fds": max,  # every process has a limit of its own: that of the one which is nearest to it
}
"""Of all other metrics that of the exporter itself is shown."""


class ProcessGroup(Protocol):
    """The workers, as far as they are seen from here."""

    @property
    def restarts(self) -> int: ...

    def pids(self) -> Iterable[int]: ...


class Processes(Collector):
    def __init__(self, namespace: str, staff: ProcessGroup | None) -> None:
        self._namespace = namespace
        self._staff = staff

    def collect(self) -> Iterator[Metric]:
        pids = list(self._staff.pids()) if self._staff else []
        everyone = [_process_values(pid) for pid in pids]
        for metric in ProcessCollector(registry=None).collect():
            if everyone and (combine := _COMBINED.get(metric.name)):
                (sample,) = metric.samples
                theirs = (found[metric.name] for found in everyone if metric.name in found)
                metric.samples = [
                    sample._replace(value=combine([sample.value, *theirs]) + _ended_children_seconds(metric.name))
                ]
            yield metric
        restarts = self._staff.restarts if self._staff else 0
        yield GaugeMetricFamily(f"{self._namespace}_workers", "Processes that probe, beside this one.", len(pids))
        yield CounterMetricFamily(
            f"{self._namespace}_worker_restarts", "Workers that ended and were replaced.", restarts
        )


def _process_values(pid: int) -> dict[str, float]:
    """Nothing for one that has just ended."""
    return {
        metric.name: metric.samples[0].value for metric in ProcessCollector(pid=lambda: pid, registry=None).collect()
    }


def _ended_children_seconds(name: str) -> float:
    """What workers that are no more have used, so that the counter does not go down."""
    if name != _CPU:
        return 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
