"""The list of alerts, from the series that Prometheus stores while an alert of the shipped rules is active.

Grafana's own kind of panel for alerts cannot follow the variables at the top of a dashboard.
"""

from grafana.promql import ALERT_NAMES, EXPORTER_MATCHERS, max_by, to_milliseconds
from grafana.tables import LabelColumns, ValueColumn, table
from grafana.value_mappings import TIME_AGO, Json

_KEYS = ("alertname", "server_name", "severity")
_OF_ANY_SERVER = 'server_name=~"$server_name|"'  # or of none: some alerts are about many servers, or about exporters


def alerts_of_servers() -> Json:
    """Return the alerts about all selected servers, about their exporters, and about many servers at once."""
    return _alerts("Alerts about the selected servers, their exporters, and many servers at once.", _OF_ANY_SERVER)


def alerts_of_server() -> Json:
    """Return the alerts about the one selected server."""
    return _alerts("Alerts about this server.", 'server_name="$server_name"')


def _alerts(description: str, servers: str) -> Json:
    matchers = ", ".join((EXPORTER_MATCHERS[0], servers, ALERT_NAMES))
    states = max_by(f"ALERTS{{{matchers}}}", *_KEYS, "alertstate")
    since = max_by(f"ALERTS_FOR_STATE{{{matchers}}}", *_KEYS)
    return table(
        "Alerts",
        f"{description} A pending alert fires unless its cause ends soon. Click an alert to open its runbook. Empty "
        "without the rules in `deploy/prometheus`.",
        _KEYS,
        [LabelColumns(("alertstate",), states), ValueColumn("since", to_milliseconds(since), TIME_AGO)],
        sort_by="severity",
        empty="no alerts",
    )
