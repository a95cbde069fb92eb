"""The exporters themselves: whether they keep up, what they cost, and whether their configuration is in use."""

from exporter.metrics import PREFIX
from grafana.dashboard import FIRING, OF_EXPORTERS, RESTARTED, Dashboard, exporters
from grafana.layout import Section, evenly, line
from grafana.panels import lines, now, over_time, stat, states
from grafana.promql import largest, milliseconds, number_of, of_exporter, series
from grafana.tables import Labels, Value, table
from grafana.value_mappings import (
    AGO,
    BYTES,
    CONNECTED,
    COUNT,
    FEW_WANTED,
    IN_USE,
    NONE_WANTED,
    PER_SECOND,
    REACHED,
    SECONDS,
    Json,
    Look,
)

INSTANCE = "{{instance}}"
KEY = ("job", "instance")
CORES = Look(unit="none", bounds={"min": 0})


def of_all(metric: str) -> str:
    """What the exporters say of all their servers."""
    return series(PREFIX + metric)


def per_instance(expression: str) -> str:
    return f"sum by (job, instance) ({expression})"


def rate(selected: str) -> str:
    return f"rate({selected}[$__rate_interval])"


def quantile(share: float, metric: str, *labels: str) -> str:
    """Of a histogram of the exporter's; `labels` are kept."""
    kept = ", ".join(["le", *labels])
    return f"histogram_quantile({share}, sum by ({kept}) ({rate(of_exporter(f'{metric}_bucket'))}))"


# ---------------------------------------------------------------- now


def at_a_glance() -> list[Json]:
    stale = f"{of_all('probe_interval_seconds')} unless {of_all('probe_success')}"
    skipped = f"sum(increase({of_exporter('probes_skipped_total')}[$__range]))"
    return [
        stat("Exporters", "That Prometheus scrapes.", COUNT, now(number_of(series("up")))),
        stat("Exporters down", "The latest scrape failed.", NONE_WANTED, now(number_of(f"{series('up')} == 0"))),
        stat(
            "Watched",
            "Servers, once for each exporter that watches them.",
            COUNT,
            now(f"sum({of_exporter('servers')})"),
        ),
        stat(
            "No fresh result",
            "Servers whose latest result is older than three intervals, and those just added.",
            FEW_WANTED,
            now(number_of(stale)),
        ),
        stat(
            "Probes skipped",
            "Within the time range: due, and not run. The exporter falls behind, or was stopped.",
            FEW_WANTED,
            now(skipped),
        ),
        stat(
            "Configurations refused",
            "Exporters whose latest configuration has a fault: the one before it stays in use, and the log says why.",
            NONE_WANTED,
            now(number_of(f"{of_exporter('config_last_reload_successful')} == 0")),
        ),
    ]


def instances() -> Json:
    reloaded = largest(of_exporter("config_last_reload_success_timestamp_seconds"), *KEY)
    started = largest(series("process_start_time_seconds"), *KEY)
    return table(
        "Every exporter",
        "Each with its version, its configuration, and when it started.",
        KEY,
        [
            Value("state", largest(series("up"), *KEY), REACHED),
            Labels(("version",), largest(of_exporter("build_info"), *KEY, "version")),
            Value("servers", largest(of_exporter("servers"), *KEY), COUNT),
            Value("latest configuration", largest(of_exporter("config_last_reload_successful"), *KEY), IN_USE),
            Value("configured", milliseconds(reloaded), AGO),
            Value("started", milliseconds(started), AGO),
        ],
        sort="instance",
    )


def up() -> Json:
    return states(
        "Scrapes",
        "Whether Prometheus reaches the exporter. A gap: it was not asked.",
        REACHED,
        over_time(series("up"), INSTANCE),
    )


def own_network() -> Json:
    return states(
        "Their own network",
        "Lost: no resolver answers, or nobody does. Then failures are not blamed on the servers, and nothing is seen.",
        CONNECTED,
        over_time(of_exporter("connectivity_up"), INSTANCE),
    )


# ---------------------------------------------------------------- probing


def probes() -> Json:
    return lines(
        "Probes",
        "That ended, and that ended without success.",
        PER_SECOND,
        over_time(per_instance(rate(of_all("probes_total"))), f"{INSTANCE} ended"),
        over_time(per_instance(rate(of_all("probe_failures_total"))), f"{INSTANCE} failed"),
    )


def in_flight() -> Json:
    return lines(
        "Probes in flight",
        "At the moment of the scrape. Near probe.concurrency they begin to wait for one another.",
        COUNT,
        over_time(of_exporter("probes_in_flight"), INSTANCE),
    )


def lag() -> Json:
    return lines(
        "Schedule lag",
        "How much later than planned probes start. Above a second, the machine is too small or the list too long.",
        SECONDS,
        over_time(quantile(0.5, "schedule_lag_seconds", "instance"), f"{INSTANCE} median"),
        over_time(quantile(0.99, "schedule_lag_seconds", "instance"), f"{INSTANCE} 99 of 100 are earlier"),
    )


def event_loop() -> Json:
    return lines(
        "Event loop lag",
        "How late due work is begun. Probes during which that exceeded 50 ms are counted, and show no durations.",
        SECONDS,
        over_time(quantile(0.99, "event_loop_lag_seconds", "instance"), f"{INSTANCE} 99 of 100 are earlier"),
    )


def spoiled() -> Json:
    return lines(
        "Probes without durations",
        "The exporter was too slow to tell how long anything took. All else that they saw is shown.",
        PER_SECOND,
        over_time(rate(of_exporter("probes_spoiled_total")), INSTANCE),
    )


def skipped() -> Json:
    expression = f"sum by (instance, reason) ({rate(of_exporter('probes_skipped_total'))})"
    return lines(
        "Probes skipped over time",
        "overlap: the one before was still running. missed: its time had passed. shutdown: the exporter stopped.",
        PER_SECOND,
        over_time(expression, f"{INSTANCE} {{{{reason}}}}"),
    )


def stage_durations(title: str, share: float) -> Json:
    return lines(
        title,
        "By stage, of all servers and endpoints. What reaches its timeout is in the highest bucket.",
        SECONDS,
        over_time(quantile(share, "stage_duration_seconds", "probe_stage"), "{{probe_stage}}"),
    )


# ---------------------------------------------------------------- cost


def scrape_duration() -> Json:
    return lines(
        "Duration of scrapes",
        "As Prometheus measures it; it must stay below the scrape timeout.",
        SECONDS,
        over_time(series("scrape_duration_seconds"), INSTANCE),
    )


def scrape_samples() -> Json:
    return lines(
        "Samples of a scrape",
        "What Prometheus has to keep of each exporter.",
        COUNT,
        over_time(series("scrape_samples_scraped"), INSTANCE),
    )


def processor() -> Json:
    return lines(
        "Processor",
        "Cores in use: every process uses one at most. Near that it is time for workers, or for another shard.",
        CORES,
        over_time(rate(series("process_cpu_seconds_total")), INSTANCE),
    )


def memory() -> Json:
    return lines("Memory", "Resident.", BYTES, over_time(series("process_resident_memory_bytes"), INSTANCE))


def files() -> Json:
    return lines(
        "Open files",
        "Sockets are among them. At the limit, connections fail.",
        COUNT,
        over_time(series("process_open_fds"), f"{INSTANCE} open"),
        over_time(series("process_max_fds"), f"{INSTANCE} limit"),
    )


def exporter_itself() -> Dashboard:
    return Dashboard(
        "mxfed-exporter",
        "Exporter",
        "The exporters themselves: whether they keep up, what they cost, and whether their configuration is in use.",
        (*exporters(OF_EXPORTERS),),
        (RESTARTED, FIRING),
        (
            Section("Now", (evenly(4, *at_a_glance()), line(6, (12, instances()), (6, up()), (6, own_network())))),
            Section(
                "Probing",
                (
                    evenly(8, probes(), in_flight()),
                    evenly(8, lag(), skipped()),
                    evenly(8, event_loop(), spoiled()),
                    evenly(
                        8,
                        stage_durations("Duration of stages: median", 0.5),
                        stage_durations("Duration of stages: 99 of 100 are faster", 0.99),
                    ),
                ),
            ),
            Section(
                "Cost", (evenly(7, scrape_duration(), scrape_samples()), evenly(7, processor(), memory(), files()))
            ),
        ),
    )
