"""All servers at a glance: how many federate, what fails and why, and since when."""

from grafana.dashboard import FIRING, OF_SERVERS, RESTARTED, Dashboard, choice, delegation_changed, exporters, servers
from grafana.layout import Section, evenly, line
from grafana.panels import bars, history, lines, now, over_time, stat
from grafana.promql import any_one, largest, milliseconds, number_of, of_servers, series, smallest
from grafana.tables import Labels, Value, table
from grafana.value_mappings import (
    AGO,
    COUNT,
    FEW_WANTED,
    NONE_WANTED,
    RENEWAL,
    SECONDS,
    SHARE,
    SIGN,
    SUCCESS,
    TIME_LEFT,
    Json,
)

HISTORY_CELLS = 48  # half an hour each, on a day: wide enough for a sign

FEDERATES = largest(of_servers("probe_success"))
WATCHED = largest(of_servers("probe_interval_seconds"))
FAILURES = largest(of_servers("failure_info"), "server_name", "probe_stage", "reason")
WARNINGS = largest(of_servers("warning_info"), "server_name", "warning")
SOFTWARE = largest(of_servers("server_info"), "server_name", "name", "version")
METHODS = largest(of_servers("delegation_info"), "server_name", "method")
NOT_AFTER = of_servers("tls_cert_not_after_timestamp_seconds")
NOT_BEFORE = of_servers("tls_cert_not_before_timestamp_seconds")
CERTIFICATE_LEFT = smallest(f"{NOT_AFTER} - time()")
CERTIFICATE_SHARE = smallest(f"({NOT_AFTER} - time()) / ({NOT_AFTER} - {NOT_BEFORE})")
PROBE_SECONDS = largest(of_servers("probe_duration_seconds"))

# A cell is bad where any probe within it failed, or a short outage would hide between two of them.
ALL_ALONG = f"avg by (server_name) (min_over_time({of_servers('probe_success')}[$__rate_interval]))"
WORST = smallest(f"min_over_time({of_servers('probe_success')}[$__range])")
SHOWN_IN_HISTORY = choice("shown", "History shows", [("all servers", "1"), ("servers with failures", "0")])

# ---------------------------------------------------------------- now


def at_a_glance() -> list[Json]:
    first = now(f"bottomk(1, {CERTIFICATE_LEFT})", "{{server_name}}")
    return [
        stat("Watched", "Servers that the chosen exporters watch.", COUNT, now(number_of(WATCHED))),
        stat(
            "Federate",
            "Servers that a peer which follows the specification can reach, from one exporter at least.",
            COUNT,
            now(number_of(f"{FEDERATES} == 1")),
        ),
        stat(
            "Fail",
            "Servers that no peer can reach: not one exporter succeeds. The table of problems says why.",
            NONE_WANTED,
            now(number_of(f"{FEDERATES} == 0")),
        ),
        stat(
            "No fresh result",
            "Servers without a result that is recent enough to be shown: just added, or the exporter falls behind.",
            FEW_WANTED,
            now(number_of(f"{WATCHED} unless on (server_name) {FEDERATES}")),
        ),
        stat("Share that federates", "Of the servers with a fresh result.", SHARE, now(f"avg({FEDERATES})")),
        stat(
            "Warnings",
            "What works but will hurt someone, counted once for each server.",
            FEW_WANTED,
            now(number_of(WARNINGS)),
        ),
        stat(
            "First certificate to expire",
            "The time left, and the server; “ago” where it has expired. Both connections count.",
            TIME_LEFT,
            first,
            shows="value_and_name",
        ),
        stat(
            "Exporters down",
            "Exporters that Prometheus cannot scrape: of what only they watch, nothing is known.",
            NONE_WANTED,
            now(number_of(f"{series('up')} == 0")),
        ),
    ]


# ---------------------------------------------------------------- problems


def problems_now() -> Json:
    return table(
        "Problems now",
        "Every stage that fails, with its reason. A server may federate all the same, through another endpoint or "
        "a fallback. A reason leads to its remedy.",
        ("server_name",),
        [
            Labels(("probe_stage", "reason"), FAILURES),
        ],
        sort="server_name",
    )


def problems_by_reason() -> Json:
    expression = f"sort_desc(count by (probe_stage, reason) ({FAILURES}))"
    return bars(
        "Servers by problem",
        "How many servers fail at a stage for a reason. Many with the same one point at something they share: a "
        "hoster, a certificate authority, or the exporter's own network.",
        COUNT,
        now(expression, "{{probe_stage}}: {{reason}}"),
    )


def problems_over_time() -> Json:
    expression = f"count by (probe_stage, reason) ({FAILURES})"
    return lines(
        "Problems over time",
        "Servers that fail at a stage for a reason.",
        COUNT,
        over_time(expression, "{{probe_stage}}: {{reason}}"),
        stacked=True,
    )


def warnings_now() -> Json:
    return table(
        "Warnings now",
        "What works but will hurt someone: a peer with other software, without IPv6, or with an older cache.",
        ("server_name",),
        [Labels(("warning",), WARNINGS)],
        sort="server_name",
    )


# ---------------------------------------------------------------- history


def status_history() -> Json:
    return history(
        "Federation of every server",
        "✓: every probe within the cell succeeded. ✗: from every exporter, at least one failed. ~: from some of them. "
        "Empty: no result. With many servers, let the history show those with failures only.",
        SIGN,
        HISTORY_CELLS,
        over_time(f"{ALL_ALONG} and on (server_name) ({WORST} <= $shown)", "{{server_name}}"),
    )


def share_over_time() -> Json:
    return lines(
        "Share that federates over time",
        "Of the servers with a fresh result.",
        SHARE,
        over_time(f"avg({FEDERATES})", "federate"),
    )


def durations_over_time() -> Json:
    quantiles = [("median", 0.5), ("9 of 10 are faster", 0.9), ("slowest", 1)]
    return lines(
        "Duration of probes",
        "Over all servers. Those that time out make the slowest one.",
        SECONDS,
        *(over_time(f"quantile({quantile}, {PROBE_SECONDS})", name) for name, quantile in quantiles),
    )


# ---------------------------------------------------------------- every server


def every_server() -> Json:
    last_success = largest(of_servers("probe_last_success_timestamp_seconds"))
    healthy = [
        Value(title, largest(of_servers("endpoints_healthy", matcher)), COUNT)
        for title, matcher in (("IPv4", 'ip_family="ipv4"'), ("IPv6", 'ip_family="ipv6"'))
    ]
    return table(
        "Servers",
        "One row for each server; its name leads to its own page. IPv4 and IPv6 count healthy endpoints. Where a "
        "server runs several versions, one of them is shown.",
        ("server_name",),
        [
            Value("state", f"avg by (server_name) ({of_servers('probe_success')})", SUCCESS),
            Value("problems", f"count by (server_name) ({FAILURES})", COUNT),
            Value("warnings", f"count by (server_name) ({WARNINGS})", COUNT),
            Value("last success", milliseconds(last_success), AGO),
            Value("duration", PROBE_SECONDS, SECONDS),
            Value("certificate", CERTIFICATE_SHARE, RENEWAL),
            Value("certificate expires in", CERTIFICATE_LEFT, TIME_LEFT),
            *healthy,
            Labels(("name", "version"), any_one(of_servers("server_info"), "server_name", "name", "version")),
        ],
        sort="state",
    )


# ---------------------------------------------------------------- what there is


def most_frequent(title: str, description: str, expression: str, legend: str) -> Json:
    return bars(title, description, COUNT, now(f"sort_desc(topk(20, {expression}))", legend))


def software() -> Json:
    return most_frequent(
        "Software",
        "What the servers say of themselves, the 20 most frequent: who has not updated yet.",
        f"count by (name, version) ({SOFTWARE})",
        "{{name}} {{version}}",
    )


def methods() -> Json:
    return most_frequent(
        "Delegation",
        "By which step of the specification the server names lead to their targets.",
        f"count by (method) ({METHODS})",
        "{{method}}",
    )


def overview() -> Dashboard:
    return Dashboard(
        "mxfed-overview",
        "Overview",
        "All watched servers: how many federate, what fails and why, and since when.",
        (*exporters(OF_SERVERS), servers(), SHOWN_IN_HISTORY),
        (RESTARTED, delegation_changed(of_servers("delegation_changes_total")), FIRING),
        (
            Section("Now", (evenly(4, *at_a_glance()),)),
            Section(
                "Problems",
                (
                    line(9, (12, problems_now()), (12, problems_by_reason())),
                    line(9, (12, warnings_now()), (12, problems_over_time())),
                ),
            ),
            Section("History", (line(14, (24, status_history())), evenly(8, share_over_time(), durations_over_time()))),
            Section("Servers", (line(14, (24, every_server())), evenly(9, software(), methods()))),
        ),
    )
