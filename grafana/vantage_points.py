"""The row about vantage points: the places from which exporters watch the same servers."""

from grafana.layout import Row, line
from grafana.panels import range_query, state_timeline, time_series
from grafana.promql import federation_state, max_by, min_by, select_server, select_servers, with_place
from grafana.tables import LabelColumns, ValueColumn, table
from grafana.value_mappings import FEDERATION, RATIO, Json

_PLACE = "{{place}}"
_STATE = federation_state(with_place(select_servers), "server_name", "place")
_DIFFERENT = f"{max_by(_STATE)} != {min_by(_STATE)}"
_FAILURES = max_by(with_place(select_servers)("failure_info"), "server_name", "place", "probe_stage", "reason")


def _not_federating_by_place() -> Json:
    return time_series(
        "Not federating, by place",
        "Ratio of servers that neither Synapse nor Dendrite can federate with, as seen from each place: the label "
        "`vantage` of the exporters, or their instance. If one place stands out, its own network is to blame.",
        RATIO,
        range_query(f"avg by (place) ({_STATE} == bool 0)", _PLACE),
    )


def _different_from_place_to_place() -> Json:
    return table(
        "Different from place to place",
        "Servers whose state depends on where the exporter is, and which stages fail from there. Empty if all places "
        "agree, or if there is only one.",
        ("server_name", "place"),
        [
            ValueColumn("state", f"{_STATE} and on (server_name) ({_DIFFERENT})", FEDERATION),
            LabelColumns(("probe_stage", "reason"), f"{_FAILURES} and on (server_name) ({_DIFFERENT})"),
        ],
        sort_by="server_name",
        empty="all places agree",
    )


def vantage_points_row() -> Row:
    """Return the row for all servers."""
    return Row("Vantage points", (line(9, (8, _not_federating_by_place()), (16, _different_from_place_to_place())),))


def state_by_place() -> Json:
    """Return the panel for one server."""
    return state_timeline(
        "State by place",
        "The state of the server as seen from each place: the label `vantage` of the exporters, or their instance.",
        FEDERATION,
        range_query(federation_state(with_place(select_server), "place"), _PLACE),
    )
