"""The metrics of processes."""

import pytest
from prometheus_client import ProcessCollector

from exporter.metrics.processes import ProcessMetrics


def start_time(processes: ProcessMetrics) -> float:
    (metric,) = (metric for metric in processes.collect() if metric.name == "process_start_time_seconds")
    return float(metric.samples[0].value)


def test_a_clock_that_is_set_is_not_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel then reports another time of boot, but the dashboards mark every change of the start time."""
    processes = ProcessMetrics("exporter", None)
    before = start_time(processes)
    monkeypatch.setattr(ProcessCollector, "_boot_time", lambda _: 1.0)
    assert start_time(processes) == before
