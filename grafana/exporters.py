"""The dashboard of the exporters: whether they keep up, what they cost, and whether their configuration is in use."""

from exporter.metrics.families import PREFIX
from grafana.dashboard import EXPORTER_RESTARTS, FIRING_ALERTS, Dashboard, exporter_variables
from grafana.layout import Row, even_line
from grafana.panels import instant_query, range_query, stat, state_timeline, time_series
from grafana.promql import EXPORTERS_UP, count_or_zero, max_by, select, select_exporters, to_milliseconds
from grafana.tables import LabelColumns, ValueColumn, table
from grafana.value_mappings import (
    BYTES,
    CONFIG_RELOAD,
    CORES,
    COUNT,
    DURATION,
    FAILURE_COUNT,
    PER_SECOND,
    TIME_AGO,
    UP,
    WARNING_COUNT,
    Json,
)

_INSTANCE = "{{instance}}"
_KEYS = ("job", "instance")


def _select_all_servers(metric: str) -> str:
    """Return a selector for the series of every server; `metric` has no prefix."""
    return select(PREFIX + metric)


def _sum_by_instance(expression: str) -> str:
    return f"sum by (job, instance) ({expression})"


def _rate(selector: str) -> str:
    return f"rate({selector}[$__rate_interval])"


def _quantile(quantile: float, histogram: str, *labels: str) -> str:
    """Return a quantile of one of the exporters' histograms, by `labels`."""
    kept = ", ".join(["le", *labels])
    return f"histogram_quantile({quantile}, sum by ({kept}) ({_rate(select_exporters(f'{histogram}_bucket'))}))"


# ---------------------------------------------------------------- status


def _status() -> list[Json]:
    stale = f"{_select_all_servers('probe_interval_seconds')} unless {_select_all_servers('probe_success')}"
    skipped = f"round(sum(increase({select_exporters('probes_skipped_total')}[$__range])))"
    return [
        stat(
            "Exporters",
            "Exporters that Prometheus scrapes.",
            COUNT,
            instant_query(count_or_zero(EXPORTERS_UP)),
        ),
        stat(
            "Exporters down",
            "Exporters whose latest scrape failed.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{EXPORTERS_UP} == 0")),
        ),
        stat(
            "Watched servers",
            "Servers, counted once for each exporter that watches them.",
            COUNT,
            instant_query(f"sum({select_exporters('servers')})"),
        ),
        stat(
            "Stale servers",
            "Servers without a recent result: they were just added, or the exporter is falling behind.",
            WARNING_COUNT,
            instant_query(count_or_zero(stale)),
        ),
        stat(
            "Skipped probes",
            "Probes within the time range that were due and did not run. The exporter is falling behind, or it was "
            "stopped.",
            WARNING_COUNT.or_else("0"),
            instant_query(skipped),
        ),
        stat(
            "Rejected configurations",
            "Exporters that rejected their latest configuration and keep using the previous one. Their log says why.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{select_exporters('config_last_reload_successful')} == 0")),
        ),
    ]


def _instances() -> Json:
    reloaded = max_by(select_exporters("config_last_reload_success_timestamp_seconds"), *_KEYS)
    started = max_by(select("process_start_time_seconds"), *_KEYS)
    return table(
        "Exporter instances",
        "Version, configuration and start time of each exporter.",
        _KEYS,
        [
            ValueColumn("state", max_by(EXPORTERS_UP, *_KEYS), UP),
            LabelColumns(("version",), max_by(select_exporters("build_info"), *_KEYS, "version")),
            ValueColumn("servers", max_by(select_exporters("servers"), *_KEYS), COUNT),
            ValueColumn(
                "configuration",
                max_by(select_exporters("config_last_reload_successful"), *_KEYS),
                CONFIG_RELOAD,
            ),
            ValueColumn("IPv4", max_by(select_exporters("ip_family_up", 'ip_family="ipv4"'), *_KEYS), UP),
            ValueColumn("IPv6", max_by(select_exporters("ip_family_up", 'ip_family="ipv6"'), *_KEYS), UP),
            ValueColumn("storage", max_by(select_exporters("storage_up"), *_KEYS), UP),
            ValueColumn("history", max_by(select_exporters("storage_size_bytes"), *_KEYS), BYTES.or_else("not stored")),
            ValueColumn("last reload", to_milliseconds(reloaded), TIME_AGO),
            ValueColumn("started", to_milliseconds(started), TIME_AGO),
        ],
        sort_by="instance",
        empty="no exporter",
    )


def _server_lists() -> Json:
    keys = (*_KEYS, "list")
    fetched = max_by(select_exporters("list_last_success_timestamp_seconds"), *keys)
    failures = f"increase({select_exporters('list_failures_total')}[$__range])"
    return table(
        "Server lists",
        "Files, URLs and Synapse homeservers that name servers. Entries that are left out are invalid or too many; the "
        "log names the first ones.",
        keys,
        [
            ValueColumn("servers", max_by(select_exporters("list_servers"), *keys), COUNT),
            ValueColumn(
                "left out", max_by(select_exporters("list_rejected_servers"), *keys), WARNING_COUNT.or_else("0")
            ),
            ValueColumn("failures", max_by(failures, *keys), WARNING_COUNT.or_else("0")),
            ValueColumn("last success", to_milliseconds(fetched), TIME_AGO),
        ],
        sort_by="list",
        empty="no lists",
    )


def _scrapes() -> Json:
    return state_timeline(
        "Scrapes",
        "Whether Prometheus can scrape the exporter. A gap means that Prometheus did not try.",
        UP,
        range_query(EXPORTERS_UP, _INSTANCE),
    )


def _connectivity() -> Json:
    return state_timeline(
        "Exporter network",
        "Whether the exporter's own network is up. While it is down, the exporter does not attribute failures to "
        "servers, and does not notice servers that break.",
        UP,
        range_query(select_exporters("connectivity_up"), _INSTANCE),
    )


def _proxy_failures() -> Json:
    return time_series(
        "Proxy failures",
        "Rate of probes that say nothing about their server, because the exporter's own proxy failed.",
        PER_SECOND.or_else("no failures"),
        range_query(_rate(select_exporters("proxy_failures_total")), "{{proxy}} {{reason}}"),
    )


# ---------------------------------------------------------------- probing


def _probes() -> Json:
    return time_series(
        "Probes",
        "Rate of completed probes, and of those that failed.",
        PER_SECOND,
        range_query(_sum_by_instance(_rate(_select_all_servers("probes_total"))), f"{_INSTANCE} completed"),
        range_query(_sum_by_instance(_rate(_select_all_servers("probe_failures_total"))), f"{_INSTANCE} failed"),
    )


def _probes_in_flight() -> Json:
    return time_series(
        "Probes in flight",
        "Number of running probes at the time of the scrape. Near `probe.concurrency`, probes wait for a free slot.",
        COUNT,
        range_query(select_exporters("probes_in_flight"), _INSTANCE),
    )


def _schedule_lag() -> Json:
    return time_series(
        "Schedule lag",
        "Delay between the scheduled and the actual start of a probe. If it exceeds a second, the machine is too small "
        "or the list of servers is too long.",
        DURATION,
        range_query(_quantile(0.5, "schedule_lag_seconds", "instance"), f"{_INSTANCE} p50"),
        range_query(_quantile(0.99, "schedule_lag_seconds", "instance"), f"{_INSTANCE} p99"),
    )


def _skipped_probes() -> Json:
    expression = f"sum by (instance, reason) ({_rate(select_exporters('probes_skipped_total'))}) > 0"
    return time_series(
        "Skipped probes over time",
        "Rate of probes that were due and did not run. overlap: the previous probe was still running. missed: the "
        "probe would have started too late. no_file_descriptors, no_memory, no_local_ports, no_cpu_time: the exporter "
        "lacked this resource. no_connections: too many probes at once connected to one address. costly: the server "
        "takes much CPU time. worker_lost: the worker process ended. shutdown: the exporter stopped.",
        PER_SECOND.or_else("no probe was skipped"),
        range_query(expression, f"{_INSTANCE} {{{{reason}}}}"),
    )


def _event_loop_lag() -> Json:
    return time_series(
        "Event loop lag",
        "Delay of the exporter's event loop, 99th percentile. While it is too high, probes report no durations and "
        "count as probes with unreliable timings.",
        DURATION,
        range_query(_quantile(0.99, "event_loop_lag_seconds", "instance"), f"{_INSTANCE} p99"),
    )


def _unreliable_timings() -> Json:
    return time_series(
        "Probes with unreliable timings",
        "Rate of probes without durations, because the exporter itself was too slow to measure them. Everything else "
        "that these probes found is valid.",
        PER_SECOND,
        range_query(_rate(select_exporters("unreliable_timings_total")), _INSTANCE),
    )


def _stage_durations(title: str, quantile: float) -> Json:
    return time_series(
        title,
        "Duration by stage, over all servers and endpoints. Stages that time out are in the highest bucket.",
        DURATION,
        range_query(_quantile(quantile, "stage_duration_seconds", "probe_stage"), "{{probe_stage}}"),
    )


# ---------------------------------------------------------------- resources


def _scrape_duration() -> Json:
    return time_series(
        "Scrape duration",
        "Duration of scrapes as Prometheus measures it. It must stay below the scrape timeout.",
        DURATION,
        range_query(select("scrape_duration_seconds"), _INSTANCE),
    )


def _scrape_samples() -> Json:
    return time_series(
        "Samples per scrape",
        "Number of samples that Prometheus stores for each scrape.",
        COUNT,
        range_query(select("scrape_samples_scraped"), _INSTANCE),
    )


def _cpu() -> Json:
    return time_series(
        "CPU",
        "Cores in use. A process uses one core at most. When a process comes close to that, add workers or another "
        "shard.",
        CORES,
        range_query(_rate(select("process_cpu_seconds_total")), _INSTANCE),
    )


def _memory() -> Json:
    return time_series(
        "Memory",
        "Resident memory.",
        BYTES,
        range_query(select("process_resident_memory_bytes"), _INSTANCE),
    )


def _file_descriptors() -> Json:
    return time_series(
        "File descriptors",
        "Open file descriptors, including sockets. At the limit, the exporter cannot open connections.",
        COUNT,
        range_query(select("process_open_fds"), f"{_INSTANCE} open"),
        range_query(select("process_max_fds"), f"{_INSTANCE} limit"),
    )


def exporters_dashboard() -> Dashboard:
    """Return the dashboard of the exporters themselves."""
    return Dashboard(
        "mxfed-exporter",
        "Exporter",
        "The exporters: whether they keep up, what they cost, and whether their configuration is in use.",
        exporter_variables(),
        [EXPORTER_RESTARTS, FIRING_ALERTS],
        [
            Row(
                "Status",
                (
                    even_line(4, *_status()),
                    even_line(6, _instances()),
                    even_line(6, _scrapes(), _connectivity(), _proxy_failures()),
                    even_line(6, _server_lists()),
                ),
            ),
            Row(
                "Probing",
                (
                    even_line(8, _probes(), _probes_in_flight()),
                    even_line(8, _schedule_lag(), _skipped_probes()),
                    even_line(8, _event_loop_lag(), _unreliable_timings()),
                    even_line(
                        8,
                        _stage_durations("Stage duration, median", 0.5),
                        _stage_durations("Stage duration, 99th percentile", 0.99),
                    ),
                ),
            ),
            Row(
                "Resources",
                (
                    even_line(7, _scrape_duration(), _scrape_samples()),
                    even_line(7, _cpu(), _memory(), _file_descriptors()),
                ),
            ),
        ],
    )
