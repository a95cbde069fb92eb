"""The dashboard of one server: stages, delegation, endpoints, certificates and keys."""

from collections.abc import Iterator

from exporter.model.enums import Stage
from grafana.alerts import alerts_of_server
from grafana.dashboard import EXPORTER_RESTARTS, FIRING_ALERTS, LINK_TO_EXPORTER, Dashboard, changes, server_variables
from grafana.layout import Row, even_line, line
from grafana.panels import instant_query, range_query, stat, state_timeline, time_series
from grafana.promql import count_or_zero, federation_state, max_by, min_by, or_named, select_server, to_milliseconds
from grafana.server_certificates import CERTIFICATE_TIME_LEFT, certificates_row
from grafana.tables import ValueColumn, table
from grafana.thresholds import Thresholds
from grafana.value_mappings import (
    COUNT,
    DURATION,
    EXPECTATION,
    FAILING,
    FAILURE_COUNT,
    FEDERATION,
    SUCCESS,
    TIME_AGO,
    TIME_LEFT,
    WARNING,
    WARNING_COUNT,
    Json,
    availability,
)
from grafana.vantage_points import state_by_place

_AVAILABILITY_PERIODS = ("1h", "24h", "7d", "30d")

# ---------------------------------------------------------------- status


def _status() -> list[Json]:
    last_success = f"max({select_server('probe_last_success_timestamp_seconds')})"
    software = max_by(select_server("server_info"), "name", "version")
    return [
        stat(
            "State",
            "✓: every implementation can federate with the server, according to every exporter. !: some cannot, or "
            "lookups work and joins or messages do not (stage proxy). ✗: neither Synapse nor Dendrite can, according "
            "to every exporter.",
            FEDERATION.or_else("no result"),
            instant_query(federation_state(select_server)),
        ),
        stat(
            "Failures",
            "Failing stages, counted once for each reason. The server may still federate through another endpoint or a "
            "fallback.",
            FAILURE_COUNT,
            instant_query(count_or_zero(max_by(select_server("failure_info"), "probe_stage", "reason"))),
        ),
        stat(
            "Warnings",
            "Problems that affect only some peers, or that will break federation later.",
            WARNING_COUNT,
            instant_query(count_or_zero(max_by(select_server("warning_info"), "warning"))),
        ),
        stat(
            "Last success",
            "Time since the last successful probe of any exporter. “never”: none has since they started.",
            TIME_AGO,
            instant_query(to_milliseconds(last_success)),
        ),
        stat(
            "Next expiry",
            "Time until the next certificate expires, and its connection: well_known is HTTPS to the server name, "
            "federation is an endpoint.",
            TIME_LEFT.or_else("no certificates"),
            instant_query(f"bottomk(1, {CERTIFICATE_TIME_LEFT})", "{{connection}}"),
            text_mode="value_and_name",
        ),
        stat(
            "Software",
            "Name and version that the server reports at each of its endpoints.",
            COUNT,
            instant_query(or_named(software, "name", "unknown"), "{{name}} {{version}}"),
            text_mode="name",
        ),
    ]


def _implementations() -> Json:
    return stat(
        "Implementations",
        "Whether each implementation of a homeserver can federate with the server, according to all exporters. conduit "
        "stands for the Conduit family, such as continuwuity and tuwunel.",
        SUCCESS.or_else("no result"),
        instant_query(f"avg by (implementation) ({select_server('peer_success')})", "{{implementation}}"),
        text_mode="value_and_name",
    )


def _outbound() -> Json:
    came = f"count by (method, ip_family) ({select_server('outbound_info')})"
    return stat(
        "Reaches others",
        "How the server was made to connect to the exporter when it last did, and over which IP family it came. The "
        "other direction is off by default.",
        COUNT,
        instant_query(or_named(came, "method", "never"), "{{method}} {{ip_family}}"),
        text_mode="name",
    )


def _availability(thresholds: Thresholds) -> Json:
    return stat(
        "Availability",
        "Ratio of successful probes to all probes of all exporters in each period. A probe succeeds if both Synapse "
        "and Dendrite can federate with the server. Green while the alert on low availability tolerates the failures: "
        f"up to {100 * thresholds.failure_ratio:g} % of the probes.",
        availability(thresholds.failure_ratio).or_else("no probes"),
        *(instant_query(_success_ratio(period), period) for period in _AVAILABILITY_PERIODS),
        text_mode="value_and_name",
    )


def _success_ratio(period: str) -> str:
    failures, probes = select_server("probe_failures_total"), select_server("probes_total")
    return f"1 - sum(increase({failures}[{period}])) / sum(increase({probes}[{period}]))"


def _exporters() -> Json:
    keys = ("job", "instance")
    times = [
        ("last probe", "probe_last_timestamp_seconds"),
        ("last deep look", "deep_look_timestamp_seconds"),
        ("last outbound", "outbound_timestamp_seconds"),
    ]
    return table(
        "Exporters",
        "Every exporter that watches this server. If only one of them fails, check its network first.",
        keys,
        [
            ValueColumn("state", federation_state(select_server, *keys), FEDERATION.or_else("no result")),
            ValueColumn("duration", max_by(select_server("probe_duration_seconds"), *keys), DURATION),
            *(
                ValueColumn(title, to_milliseconds(max_by(select_server(metric), *keys)), TIME_AGO)
                for title, metric in times
            ),
        ],
        sort_by="state",
        empty="no exporter",
    )


# ---------------------------------------------------------------- stages


def _stages() -> Json:
    return state_timeline(
        "Stages",
        "The stages in the order of a probe. A gap means that the stage did not run: an earlier stage failed, or the "
        "server does not need it. From tcp on, or tunnel if the exporter uses a proxy, a stage covers all endpoints. "
        "proxy and notary show the latest deep look, and outbound whether the server reached the exporter when it was "
        "last made to.",
        SUCCESS,
        *(range_query(f"avg({_stage_success(*row)})", " or ".join(row)) for row in _stage_rows()),
        rows=len(Stage),
    )


def _stage_rows() -> Iterator[tuple[Stage, ...]]:
    """Yield the stages of each row: `tunnel` takes the place of `tcp`."""
    for stage in Stage:
        if stage is not Stage.TUNNEL:
            yield (stage, Stage.TUNNEL) if stage is Stage.TCP else (stage,)


def _stage_success(*stages: Stage) -> str:
    return select_server("stage_success", f'probe_stage=~"{"|".join(stages)}"')


def _failures_over_time() -> Json:
    return state_timeline(
        "Failures over time",
        "One row for each stage and reason, filled while the stage fails for this reason on any exporter.",
        FAILING.or_else("no failures"),
        range_query(max_by(select_server("failure_info"), "probe_stage", "reason"), "{{probe_stage}}: {{reason}}"),
    )


def _warnings_over_time() -> Json:
    return state_timeline(
        "Warnings over time",
        "One row for each warning, filled while any exporter reports it.",
        WARNING.or_else("no warnings"),
        range_query(max_by(select_server("warning_info"), "warning"), "{{warning}}"),
    )


def _stage_durations() -> Json:
    return time_series(
        "Stage duration",
        "Duration of each stage on its slowest endpoint and exporter, stacked. The total is the time that a peer waits "
        "in the worst case.",
        DURATION,
        range_query(max_by(select_server("stage_duration_seconds"), "probe_stage"), "{{probe_stage}}"),
        stacked=True,
    )


def _probe_durations() -> Json:
    return time_series(
        "Probe duration",
        "Duration of the whole probe on each exporter.",
        DURATION,
        range_query(max_by(select_server("probe_duration_seconds"), "instance"), "{{instance}}"),
    )


# ---------------------------------------------------------------- delegation


def _delegation_status() -> list[Json]:
    changed = select_server("changes_total", 'subject="delegation"')
    increases = f"round(max(increase({changed}[$__range])))"
    return [
        stat(
            "As expected",
            "Whether the server is as `expect` in the configuration says.",
            EXPECTATION.or_else("nothing is expected"),
            instant_query(min_by(select_server("as_expected"), "expectation"), "{{expectation}}"),
            text_mode="value_and_name",
        ),
        stat(
            "Delegation changes",
            "Number of changes of method or targets within the time range. Failed lookups do not count.",
            WARNING_COUNT.or_else("never"),
            instant_query(increases),
        ),
        stat(
            "Well-known cache time",
            "How long peers may cache the well-known response. A mistake in it lasts that long.",
            TIME_LEFT.or_else("no well-known"),
            instant_query(f"min({select_server('well_known_cache_seconds')})"),
        ),
        stat(
            "SRV records",
            "Number of SRV records by service: matrix-fed is the current one, matrix is deprecated.",
            COUNT.or_else("none"),
            instant_query(max_by(select_server("srv_records"), "service"), "{{service}}"),
            text_mode="value_and_name",
        ),
    ]


def _delegation() -> Json:
    return table(
        "Delegation",
        "Targets of the server name, and the step of the specification's server discovery that finds them. Exporters "
        "that disagree get different answers from DNS or from the web servers.",
        ("method", "target"),
        [ValueColumn("exporters", f"count by (method, target) ({select_server('delegation_info')})", COUNT)],
        sort_by="method",
        empty="no target was found",
    )


def _endpoints() -> Json:
    return time_series(
        "Endpoints",
        "Number of addresses of all targets: resolved addresses, and healthy ones, which passed every stage.",
        COUNT.or_else("no endpoint was found"),
        range_query(max_by(select_server("endpoints"), "ip_family"), "{{ip_family}} resolved"),
        range_query(min_by(select_server("endpoints_healthy"), "ip_family"), "{{ip_family}} healthy"),
    )


def server_dashboard(thresholds: Thresholds) -> Dashboard:
    """Return the dashboard of one server."""
    return Dashboard(
        "mxfed-server",
        "Server",
        "One server: its stages, delegation, endpoints, certificates and keys.",
        server_variables(),
        [EXPORTER_RESTARTS, changes(select_server("changes_total")), FIRING_ALERTS],
        [
            Row(
                "Status",
                (
                    even_line(4, *_status()),
                    line(5, (8, _implementations()), (6, _outbound()), (10, _availability(thresholds))),
                    line(6, (24, alerts_of_server())),
                    line(5, (24, _exporters())),
                    line(5, (24, state_by_place())),
                ),
            ),
            Row(
                "Stages",
                (
                    line(10, (24, _stages())),
                    even_line(6, _failures_over_time(), _warnings_over_time()),
                    even_line(8, _stage_durations(), _probe_durations()),
                ),
            ),
            Row(
                "Delegation",
                (even_line(4, *_delegation_status()), even_line(7, _delegation(), _endpoints())),
            ),
            certificates_row(thresholds),
        ],
        [LINK_TO_EXPORTER],
    )
