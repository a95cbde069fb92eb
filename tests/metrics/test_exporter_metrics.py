import math
from dataclasses import replace

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from exporter import VERSION
from exporter.metrics.exporter_metrics import ExporterMetrics, SkipReason
from exporter.model.enums import Resource, Stage
from exporter.model.reasons import REASONS_OF_PROXY, Reason
from exporter.model.shards import Shard
from tests.sample_reports import two_families

DURATION = "matrix_federation_exporter_stage_duration_seconds"


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def series(registry: CollectorRegistry) -> set[str]:
    return {sample.name for metric in registry.collect() for sample in metric.samples}


def test_counters_begin_at_zero() -> None:
    """Otherwise `increase()` would not see the first event."""
    registry = ExporterMetrics().registry
    resources = {SkipReason.lacking(resource) for resource in Resource}
    for reason in ("overlap", "missed", "shutdown", "worker_lost", *resources):
        assert value(registry, "matrix_federation_exporter_probes_skipped_total", reason=reason) == 0
    assert {value(registry, f"{DURATION}_count", probe_stage=stage) for stage in Stage} == {0}


def test_observes_every_stage_that_ran() -> None:
    """Every endpoint counts. A stage that was skipped is not observed."""
    exporter_metrics = ExporterMetrics()
    exporter_metrics.observe(two_families())
    counts = {stage.value: value(exporter_metrics.registry, f"{DURATION}_count", probe_stage=stage) for stage in Stage}
    assert counts == {
        "well_known": 1,
        "srv": 1,
        "dns": 1,
        "tcp": 4,
        "tunnel": 0,
        "tls": 2,
        "version": 2,
        "keys": 2,
        "proxy": 0,
        "notary": 0,
        "outbound": 0,
    }
    tcp_seconds = value(exporter_metrics.registry, f"{DURATION}_sum", probe_stage="tcp")
    assert tcp_seconds is not None
    assert math.isclose(tcp_seconds, 0.01 + 0.01 + 0.5 + 0.5)


def test_unreliable_timings_are_counted_and_not_observed() -> None:
    """They are not durations of the servers."""
    exporter_metrics = ExporterMetrics()
    exporter_metrics.observe(replace(two_families(), stalled_seconds=0.1))
    assert value(exporter_metrics.registry, "matrix_federation_exporter_unreliable_timings_total") == 1
    assert {value(exporter_metrics.registry, f"{DURATION}_count", probe_stage=stage) for stage in Stage} == {0}


def test_the_names_of_all_metrics() -> None:
    """Users write alerts on them. There are no `_created` series."""
    names = {name for name in series(ExporterMetrics().registry) if name.startswith("matrix_federation_")}
    prefix = "matrix_federation_exporter_"
    assert {name.removeprefix(prefix) for name in names} == {
        "build_info",
        "shard_info",
        "connectivity_up",
        "ip_family_up",
        "config_last_reload_successful",
        "config_last_reload_success_timestamp_seconds",
        "servers",
        "probes_in_flight",
        "probes_skipped_total",
        "workers",
        "worker_restarts_total",
        "storage_up",
        "storage_size_bytes",
        "costly_probes_total",
        "repeated_probes_total",
        "unreliable_timings_total",
        *(f"event_loop_lag_seconds_{part}" for part in ("bucket", "count", "sum")),
        *(f"schedule_lag_seconds_{part}" for part in ("bucket", "count", "sum")),
        *(f"stage_duration_seconds_{part}" for part in ("bucket", "count", "sum")),
    }


def test_a_list_has_series_until_it_is_removed() -> None:
    """It has them from the beginning, so that a list that never responds is seen."""
    exporter_metrics, url = ExporterMetrics(), "https://example.org/servers"
    before = series(exporter_metrics.registry)
    exporter_metrics.add_list(url)
    added = series(exporter_metrics.registry) - before
    assert {
        name.removeprefix("matrix_federation_exporter_list_"): value(exporter_metrics.registry, name, list=url)
        for name in added
    } == {
        "servers": 0,
        "rejected_servers": 0,
        "last_success_timestamp_seconds": 0,
        "failures_total": 0,
    }
    exporter_metrics.remove_list(url)
    assert series(exporter_metrics.registry) == before


def test_a_proxy_has_series_while_it_is_configured() -> None:
    """They are 0 from the beginning, so that the first failure is an increase. A late one brings no series back."""
    exporter_metrics, counter = ExporterMetrics(), "matrix_federation_exporter_proxy_failures_total"

    def failures(proxy: str) -> list[float | None]:
        return [value(exporter_metrics.registry, counter, proxy=proxy, reason=reason) for reason in REASONS_OF_PROXY]

    exporter_metrics.use_proxies(["a:3128"])
    assert failures("a:3128") == [0, 0, 0, 0]
    exporter_metrics.record_proxy_failure("a:3128", Reason.PROXY_FORBIDDEN)
    exporter_metrics.use_proxies(["a:3128", "b:3128"])
    assert (sorted(map(float, filter(None, failures("a:3128")))), failures("b:3128")) == ([1], [0, 0, 0, 0])
    exporter_metrics.use_proxies(["b:3128"])
    exporter_metrics.record_proxy_failure("a:3128", Reason.PROXY_FORBIDDEN)
    assert (failures("a:3128"), failures("b:3128")) == ([None] * 4, [0, 0, 0, 0])


def test_a_path_that_is_not_valid_utf_8_can_be_exported() -> None:
    """Python has surrogates for its bytes, which no label value may contain."""
    exporter_metrics, path = ExporterMetrics(), "/etc/b\udcffd.json"
    exporter_metrics.record_list(path, 5, 1, is_applied=True)
    written = generate_latest(exporter_metrics.registry).decode()
    assert 'list_rejected_servers{list="/etc/b\N{REPLACEMENT CHARACTER}d.json"} 1.0' in written
    exporter_metrics.remove_list(path)
    assert "/etc/b" not in generate_latest(exporter_metrics.registry).decode()


def test_shard_info() -> None:
    """It is exported even if there is only one shard."""
    shard = "matrix_federation_exporter_shard_info"
    assert value(ExporterMetrics().registry, shard, index="0", count="1") == 1
    assert value(ExporterMetrics(Shard(2, 3)).registry, shard, index="2", count="3") == 1


def test_build_info_and_process_metrics() -> None:
    registry = ExporterMetrics().registry
    assert value(registry, "matrix_federation_exporter_build_info", version=VERSION) == 1
    assert {"process_start_time_seconds", "process_resident_memory_bytes", "python_info"} <= series(registry)


def test_every_object_has_its_own_registry() -> None:
    """Two exporters in one process do not share metrics, and the library's global registry stays as it was."""
    first, second = ExporterMetrics(), ExporterMetrics()
    first.probes_skipped.labels(SkipReason.MISSED).inc()
    name = "matrix_federation_exporter_probes_skipped_total"
    assert (value(first.registry, name, reason="missed"), value(second.registry, name, reason="missed")) == (1, 0)
    assert not any(name.startswith("matrix_federation_") for name in series(REGISTRY))
