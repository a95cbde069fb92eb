"""One server: its stages, its delegation, its endpoints."""

from exporter.vocabulary import Stage
from grafana.dashboard import FIRING, OF_SERVERS, RESTARTED, Dashboard, delegation_changed, exporters, one_server
from grafana.layout import Section, evenly, line
from grafana.panels import lines, now, over_time, stat, states
from grafana.promql import largest, milliseconds, number_of, of_server, smallest
from grafana.server_certificates import LEFT, certificates_and_keys
from grafana.tables import Value, table
from grafana.value_mappings import (
    AGO,
    AVAILABILITY,
    CAUTION,
    COUNT,
    EXPECTATION,
    FEW_WANTED,
    NONE_WANTED,
    PROBLEM,
    SECONDS,
    SUCCESS,
    TIME_LEFT,
    Json,
)

PERIODS = ("1h", "24h", "7d", "30d")

# ---------------------------------------------------------------- now


def at_a_glance() -> list[Json]:
    last_success = milliseconds(f"max({of_server('probe_last_success_timestamp_seconds')})")
    software = largest(of_server("server_info"), "name", "version")
    return [
        stat(
            "State",
            "✓: a peer that follows the specification can federate. ~: from some of the exporters only.",
            SUCCESS,
            now(f"avg({of_server('probe_success')})"),
        ),
        stat(
            "Problems",
            "Stages that fail, each reason once. A server may federate all the same.",
            NONE_WANTED,
            now(number_of(largest(of_server("failure_info"), "probe_stage", "reason"))),
        ),
        stat(
            "Warnings",
            "What works but will hurt someone.",
            FEW_WANTED,
            now(number_of(largest(of_server("warning_info"), "warning"))),
        ),
        stat(
            "Last success",
            "When a probe last succeeded, from any exporter; nothing, where none did since they started.",
            AGO,
            now(last_success),
        ),
        stat(
            "First certificate to expire",
            "The time left, and the connection: well_known is https to the server name, federation an endpoint.",
            TIME_LEFT,
            now(f"bottomk(1, {LEFT})", "{{connection}}"),
            shows="value_and_name",
        ),
        stat(
            "Software",
            "What the server says of itself, at each of its endpoints.",
            COUNT,
            now(software, "{{name}} {{version}}"),
            shows="name",
        ),
    ]


def availability() -> Json:
    return stat(
        "Availability",
        "Share of the probes that succeeded, of all exporters, counted since they began within each period.",
        AVAILABILITY,
        *(now(succeeded(period), period) for period in PERIODS),
        shows="value_and_name",
    )


def succeeded(period: str) -> str:
    failures, probes = of_server("probe_failures_total"), of_server("probes_total")
    return f"1 - sum(increase({failures}[{period}])) / sum(increase({probes}[{period}]))"


def by_exporter() -> Json:
    keys = ("job", "instance")
    instants = [("latest probe", "probe_last_timestamp_seconds"), ("latest deep look", "deep_look_timestamp_seconds")]
    return table(
        "Seen from",
        "Every exporter that watches this server: one that fails alone has a problem of its own, or of its network.",
        keys,
        [
            Value("state", largest(of_server("probe_success"), *keys), SUCCESS),
            Value("duration", largest(of_server("probe_duration_seconds"), *keys), SECONDS),
            *(Value(title, milliseconds(largest(of_server(metric), *keys)), AGO) for title, metric in instants),
        ],
        sort="state",
    )


# ---------------------------------------------------------------- stages


def stages() -> Json:
    return states(
        "Stages",
        "In the order of a probe. A gap: the stage was not reached, as one before it failed, or not asked for. From "
        "tcp on all endpoints count; proxy and notary are as old as the latest deep look.",
        SUCCESS,
        *(over_time(f"avg({stage_success(stage)})", stage) for stage in Stage),
    )


def stage_success(stage: Stage) -> str:
    return of_server("stage_success", f'probe_stage="{stage}"')


def reasons() -> Json:
    failures = largest(of_server("failure_info"), "probe_stage", "reason")
    return states(
        "Problems over time",
        "A row for each stage and reason; filled while it fails for that reason, on any exporter.",
        PROBLEM,
        over_time(failures, "{{probe_stage}}: {{reason}}"),
    )


def warnings() -> Json:
    return states(
        "Warnings over time",
        "A row for each warning; filled while it holds, on any exporter.",
        CAUTION,
        over_time(largest(of_server("warning_info"), "warning"), "{{warning}}"),
    )


def stage_durations() -> Json:
    return lines(
        "Duration of stages",
        "Each one's slowest endpoint and exporter, upon one another: what a peer waits for.",
        SECONDS,
        over_time(largest(of_server("stage_duration_seconds"), "probe_stage"), "{{probe_stage}}"),
        stacked=True,
    )


def probe_durations() -> Json:
    return lines(
        "Duration of probes",
        "The whole probe, from each exporter.",
        SECONDS,
        over_time(largest(of_server("probe_duration_seconds"), "instance"), "{{instance}}"),
    )


# ---------------------------------------------------------------- delegation


def delegation() -> Json:
    return table(
        "Delegation",
        "Where the server name leads to, and by which step of the specification. Two exporters that disagree see "
        "different DNS, or different web servers.",
        ("method", "target"),
        [Value("exporters", f"count by (method, target) ({of_server('delegation_info')})", COUNT)],
        sort="method",
    )


def delegation_details() -> list[Json]:
    changes = f"max(increase({of_server('delegation_changes_total')}[$__range]))"
    return [
        stat(
            "Delegation is as expected",
            "Only where the configuration expects a target.",
            EXPECTATION,
            now(f"min({of_server('delegation_as_expected')})"),
        ),
        stat(
            "Delegation changes",
            "How often method or targets changed within the time range; a failed lookup is no change.",
            FEW_WANTED,
            now(changes),
        ),
        stat(
            "Well-known is kept for",
            "How long peers may keep the answer: an error in it lasts that long for them.",
            TIME_LEFT,
            now(f"min({of_server('well_known_cache_seconds')})"),
        ),
        stat(
            "SRV records",
            "matrix-fed is the service of today, matrix the deprecated one.",
            COUNT,
            now(largest(of_server("srv_records"), "service"), "{{service}}"),
            shows="value_and_name",
        ),
    ]


def endpoints() -> Json:
    return lines(
        "Endpoints",
        "Addresses of all targets: those that were resolved, and those that passed every stage.",
        COUNT,
        over_time(largest(of_server("endpoints"), "ip_family"), "{{ip_family}} resolved"),
        over_time(smallest(of_server("endpoints_healthy"), "ip_family"), "{{ip_family}} healthy"),
    )


# ---------------------------------------------------------------- all of it


def server() -> Dashboard:
    return Dashboard(
        "mxfed-server",
        "Server",
        "One server: its stages, its delegation, its endpoints, its certificates and keys.",
        (*exporters(OF_SERVERS), one_server()),
        (RESTARTED, delegation_changed(of_server("delegation_changes_total")), FIRING),
        (
            Section(
                "Now",
                (evenly(4, *at_a_glance()), line(6, (12, availability()), (12, by_exporter()))),
            ),
            Section(
                "Stages",
                (
                    line(10, (24, stages())),
                    evenly(6, reasons(), warnings()),
                    evenly(8, stage_durations(), probe_durations()),
                ),
            ),
            Section(
                "Delegation",
                (evenly(4, *delegation_details()), evenly(7, delegation(), endpoints())),
            ),
            certificates_and_keys(),
        ),
    )
