"""The dashboard of all servers: how many federate, which ones fail, why, and since when."""

from grafana.alerts import alerts_of_servers
from grafana.dashboard import (
    EXPORTER_RESTARTS,
    FIRING_ALERTS,
    Dashboard,
    changes,
    custom_variable,
    servers_variables,
)
from grafana.layout import Row, even_line, line
from grafana.panels import bar_gauge, instant_query, range_query, stat, status_history, time_series
from grafana.promql import (
    EXPORTERS_UP,
    count_or_zero,
    federation_state,
    max_by,
    min_by,
    pick_one,
    select_servers,
    to_milliseconds,
)
from grafana.tables import LabelColumns, ValueColumn, table
from grafana.thresholds import Thresholds, renewal_state
from grafana.value_mappings import (
    COUNT,
    DURATION,
    FAILURE_COUNT,
    FEDERATION,
    FEDERATION_SYMBOL,
    RATIO,
    RENEWAL,
    TIME_AGO,
    TIME_LEFT,
    WARNING_COUNT,
    Json,
)
from grafana.vantage_points import vantage_points_row

_HISTORY_CELLS = 48  # half an hour each in a day, and wide enough for a symbol

_STATE = federation_state(select_servers)
_WATCHED = max_by(select_servers("probe_interval_seconds"))
_FAILURES = max_by(select_servers("failure_info"), "server_name", "probe_stage", "reason")
_WARNINGS = max_by(select_servers("warning_info"), "server_name", "warning")
_SOFTWARE = max_by(select_servers("server_info"), "server_name", "name", "version")
_METHODS = max_by(select_servers("delegation_info"), "server_name", "method")
_NOT_AFTER = select_servers("tls_cert_not_after_timestamp_seconds")
_NOT_BEFORE = select_servers("tls_cert_not_before_timestamp_seconds")
_CHAIN_NOT_AFTER = select_servers("tls_chain_not_after_timestamp_seconds")
_TIME_LEFT = min_by(f"{_CHAIN_NOT_AFTER} - time()")
_PROBE_DURATION = max_by(select_servers("probe_duration_seconds"))

# A cell shows the worst within it. Otherwise a short outage between two samples would be invisible.
_STATE_IN_CELL = federation_state(select_servers, window="$__rate_interval")
_STATE_IN_RANGE = federation_state(select_servers, window="$__range")
_HISTORY_FILTER = custom_variable("shown", "History shows", [("all servers", "1"), ("servers with failures", "0.5")])

# ---------------------------------------------------------------- status


def _status() -> list[Json]:
    return [
        stat(
            "Watched servers",
            "Servers that the selected exporters watch.",
            COUNT,
            instant_query(count_or_zero(_WATCHED)),
        ),
        stat(
            "Federating",
            "Servers that every implementation of a homeserver can federate with, according to every exporter.",
            COUNT,
            instant_query(count_or_zero(f"{_STATE} == 1")),
        ),
        stat(
            "In part",
            "Servers that federate only in part: some implementations cannot federate with them, according to at least "
            "one exporter, or lookups work and joins or messages do not. “Current warnings” and “Current failures” "
            "show why.",
            WARNING_COUNT,
            instant_query(count_or_zero(f"{_STATE} == 0.5")),
        ),
        stat(
            "Not federating",
            "Servers that neither Synapse nor Dendrite can federate with, according to every exporter. “Current "
            "failures” shows why.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{_STATE} == 0")),
        ),
        stat(
            "Stale",
            "Servers without a recent result: they were just added, or the exporter is falling behind.",
            WARNING_COUNT,
            instant_query(
                count_or_zero(f"{_WATCHED} unless on (server_name) {max_by(select_servers('probe_success'))}")
            ),
        ),
        stat(
            "Warnings",
            "Warnings of all servers: problems that affect only some peers, or that will break federation later.",
            WARNING_COUNT,
            instant_query(count_or_zero(_WARNINGS)),
        ),
        stat(
            "Next expiry",
            "Time until the next certificate expires, and its server. “ago” means that it has expired.",
            TIME_LEFT.or_else("no certificates"),
            instant_query(f"bottomk(1, {_TIME_LEFT})", "{{server_name}}"),
            text_mode="value_and_name",
        ),
        stat(
            "Exporters down",
            "Exporters that Prometheus cannot scrape. The state of servers that only they watch is unknown.",
            FAILURE_COUNT,
            instant_query(count_or_zero(f"{EXPORTERS_UP} == 0")),
        ),
    ]


# ---------------------------------------------------------------- failures and warnings


def _current_failures() -> Json:
    return table(
        "Current failures",
        "Every failing stage with its reason. The server may still federate through another endpoint or a fallback. "
        "Click a reason to read how to fix it.",
        ("server_name",),
        [LabelColumns(("probe_stage", "reason"), _FAILURES)],
        sort_by="server_name",
        empty="no failures",
    )


def _failures_by_reason() -> Json:
    return bar_gauge(
        "Failures by reason",
        "Number of servers that fail in a stage for a reason. If many servers fail for the same reason, they may have "
        "a common cause: a hosting provider, a certificate authority, or the exporter's own network.",
        COUNT.or_else("no failures"),
        instant_query(f"sort_desc(count by (probe_stage, reason) ({_FAILURES}))", "{{probe_stage}}: {{reason}}"),
    )


def _failures_over_time() -> Json:
    return time_series(
        "Failures over time",
        "Number of servers that fail in a stage for a reason.",
        COUNT.or_else("no failures"),
        range_query(f"count by (probe_stage, reason) ({_FAILURES})", "{{probe_stage}}: {{reason}}"),
        stacked=True,
    )


def _current_warnings() -> Json:
    return table(
        "Current warnings",
        "Problems that affect only some peers, for example those without IPv6, or that will break federation later.",
        ("server_name",),
        [LabelColumns(("warning",), _WARNINGS)],
        sort_by="server_name",
        empty="no warnings",
    )


# ---------------------------------------------------------------- history


def _history() -> Json:
    return status_history(
        "Status history",
        "✓: the server federated in the whole interval. !: at some time, it federated only in part. ✗: at some time, "
        "it did not federate at all, according to every exporter. Empty: no result. If you watch many servers, set "
        "“History shows” to “servers with failures”.",
        FEDERATION_SYMBOL.or_else("no failures"),
        _HISTORY_CELLS,
        range_query(f"{_STATE_IN_CELL} and on (server_name) ({_STATE_IN_RANGE} <= $shown)", "{{server_name}}"),
    )


def _success_ratio() -> Json:
    return time_series(
        "Success ratio over time",
        "Ratio of servers that federate, and of those that federate at least in part, to all servers with a recent "
        "result.",
        RATIO,
        range_query(f"avg({_STATE} == bool 1)", "federating"),
        range_query(f"avg({_STATE} > bool 0)", "federating at least in part"),
    )


def _probe_durations() -> Json:
    quantiles = [("p50", 0.5), ("p90", 0.9), ("max", 1)]
    return time_series(
        "Probe duration",
        "Median, 90th percentile and maximum of all servers. Probes that time out determine the maximum.",
        DURATION,
        *(range_query(f"quantile({quantile}, {_PROBE_DURATION})", name) for name, quantile in quantiles),
    )


# ---------------------------------------------------------------- servers


def _servers(thresholds: Thresholds) -> Json:
    last_success = max_by(select_servers("probe_last_success_timestamp_seconds"))
    failing_since = min_by(select_servers("incident_start_timestamp_seconds"))
    labels = ("server_name", "connection")
    renewal = min_by(renewal_state(_CHAIN_NOT_AFTER, _NOT_AFTER, _NOT_BEFORE, thresholds, *labels))
    healthy_endpoints = [
        ValueColumn(title, max_by(select_servers("endpoints_healthy", matcher)), COUNT)
        for title, matcher in (("IPv4", 'ip_family="ipv4"'), ("IPv6", 'ip_family="ipv6"'))
    ]
    return table(
        "Servers",
        "One row for each server. Click a name to open the server's dashboard. The columns IPv4 and IPv6 count healthy "
        "endpoints. If a server runs several versions, one of them is shown.",
        ("server_name",),
        [
            ValueColumn("state", _STATE, FEDERATION.or_else("no result")),
            ValueColumn("failures", f"count by (server_name) ({_FAILURES})", COUNT.or_else("0")),
            ValueColumn("warnings", f"count by (server_name) ({_WARNINGS})", COUNT.or_else("0")),
            ValueColumn("last success", to_milliseconds(last_success), TIME_AGO),
            ValueColumn("failing since", to_milliseconds(failing_since), TIME_AGO),
            ValueColumn("duration", _PROBE_DURATION, DURATION),
            ValueColumn("renewal", renewal, RENEWAL),
            ValueColumn("expires in", _TIME_LEFT, TIME_LEFT),
            *healthy_endpoints,
            LabelColumns(
                ("name", "version"), pick_one(select_servers("server_info"), "server_name", "name", "version")
            ),
        ],
        sort_by="state",
        empty="no servers",
    )


def _most_frequent(title: str, description: str, expression: str, legend: str) -> Json:
    return bar_gauge(
        title, description, COUNT.or_else("none is known"), instant_query(f"sort_desc(topk(20, {expression}))", legend)
    )


def _software() -> Json:
    return _most_frequent(
        "Software",
        "The 20 most frequent versions that servers report. Old versions show who has not upgraded yet.",
        f"count by (name, version) ({_SOFTWARE})",
        "{{name}} {{version}}",
    )


def _delegation_methods() -> Json:
    return _most_frequent(
        "Delegation methods",
        "Number of servers by the step of the specification's server discovery that finds their endpoints.",
        f"count by (method) ({_METHODS})",
        "{{method}}",
    )


def overview_dashboard(thresholds: Thresholds) -> Dashboard:
    """Return the dashboard of all servers."""
    return Dashboard(
        "mxfed-overview",
        "Overview",
        "All watched servers: how many federate, which ones fail, why, and since when.",
        [*servers_variables(), _HISTORY_FILTER],
        [EXPORTER_RESTARTS, changes(select_servers("changes_total")), FIRING_ALERTS],
        [
            Row("Status", (even_line(4, *_status()),)),
            Row(
                "Alerts, failures and warnings",
                (
                    line(8, (24, alerts_of_servers())),
                    line(9, (12, _current_failures()), (12, _failures_by_reason())),
                    line(9, (12, _current_warnings()), (12, _failures_over_time())),
                ),
            ),
            vantage_points_row(),
            Row("History", (line(14, (24, _history())), even_line(8, _success_ratio(), _probe_durations()))),
            Row("Servers", (line(14, (24, _servers(thresholds))), even_line(9, _software(), _delegation_methods()))),
        ],
    )
