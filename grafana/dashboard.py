"""What all dashboards have in common: variables, annotations, links and settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.metrics.exporter_metrics import NAMESPACE
from exporter.metrics.families import PREFIX
from grafana.layout import Row, arrange
from grafana.panels import DATA_SOURCE, EXPORTER_URL, exporter_page
from grafana.promql import ALERT_NAMES, EXPORTER_MATCHERS, select
from grafana.value_mappings import Json

_SCHEMA_VERSION = 39  # of Grafana 10.4; later versions migrate it when they load the dashboard

# ---------------------------------------------------------------- variables

_ALL_VALUES = ".+"
_SERVERS_METRIC = f"{PREFIX}probe_interval_seconds"  # present before the first result, and while results are stale
_DEFAULT_URL = "http://localhost:10448"
_EXPORTERS_METRIC = f"{NAMESPACE}_build_info"


def exporter_variables() -> list[Json]:
    """Return the variables of a dashboard about exporters: data source, job and instance."""
    return _instance_variables(_EXPORTERS_METRIC)


def servers_variables() -> list[Json]:
    """Return the variables of a dashboard about several servers: source, job,
    instance, servers, and the exporter's URL.
    """
    return [*_instance_variables(_SERVERS_METRIC), _allow_many(_server_variable()), _exporter_url()]


def server_variables() -> list[Json]:
    """Return the variables of a dashboard about one server: source, job, instance, server, and the exporter's URL."""
    return [*_instance_variables(_SERVERS_METRIC), _server_variable(), _exporter_url()]


def custom_variable(name: str, label: str, choices: Sequence[tuple[str, str]]) -> Json:
    """Return a variable with a fixed list of texts and values. The first one is the default."""
    options = [{"text": text, "value": value, "selected": index == 0} for index, (text, value) in enumerate(choices)]
    query = ", ".join(f"{text} : {value}" for text, value in choices)
    return {"type": "custom", "name": name, "label": label, "query": query, "options": options, "current": options[0]}


def _instance_variables(metric: str) -> list[Json]:
    job = _query_variable("job", "Job", metric)
    instance = _query_variable("instance", "Instance", metric, EXPORTER_MATCHERS[0])
    return [_data_source_variable(), _allow_many(job), _allow_many(instance)]


def _server_variable() -> Json:
    return _query_variable("server_name", "Server", _SERVERS_METRIC, *EXPORTER_MATCHERS)


def _exporter_url() -> Json:
    """Return the variable with the exporter's URL, which the links to its pages begin with. It is typed in."""
    default = {"text": _DEFAULT_URL, "value": _DEFAULT_URL, "selected": True}
    variable = {"type": "textbox", "name": EXPORTER_URL, "label": "URL of the exporter"}
    return variable | {"query": _DEFAULT_URL, "current": default, "options": [default]}


def _data_source_variable() -> Json:
    return {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "refresh": 1}


def _query_variable(name: str, label: str, metric: str, *matchers: str) -> Json:
    """Return a variable that takes one of the values of the Prometheus label `name`."""
    selector = f"{metric}{{{', '.join(matchers)}}}" if matchers else metric
    query = f"label_values({selector}, {name})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATA_SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
    }


def _allow_many(variable: Json) -> Json:
    """Return the variable with several values allowed, and all of them selected by default."""
    current = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return variable | {"multi": True, "includeAll": True, "allValue": _ALL_VALUES, "current": current}


# ---------------------------------------------------------------- annotations and links

_BUILT_IN_ANNOTATION = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks the times at which `expression` has a value. It can be toggled at the top of the dashboard."""

    name: str
    expression: str
    colour: str
    title: str
    """May contain labels, as in `{{server_name}}`."""
    text: str
    """May contain labels, as in `{{server_name}}`."""
    enabled: bool = True

    def json(self) -> Json:
        return {
            "name": self.name,
            "datasource": DATA_SOURCE,
            "expr": self.expression,
            "enable": self.enabled,
            "hide": False,
            "iconColor": self.colour,
            "titleFormat": self.title,
            "textFormat": self.text,
            "step": "60s",
        }


EXPORTER_RESTARTS = Annotation(
    "Exporter restarts",
    f"changes({select('process_start_time_seconds')}[$__rate_interval]) > 0",
    "blue",
    "Exporter restarted",
    "{{instance}}",
)
FIRING_ALERTS = Annotation(
    "Firing alerts",
    f'ALERTS{{{EXPORTER_MATCHERS[0]}, {ALERT_NAMES}, alertstate="firing"}}',
    "red",
    "{{alertname}}",
    "{{severity}} {{server_name}}",
    enabled=False,
)


def changes(selector: str) -> Annotation:
    """Return an annotation that marks every increase of the selected counters."""
    expression = f"sum by (server_name, subject) (increase({selector}[$__rate_interval])) > 0"
    return Annotation("Changes", expression, "purple", "{{subject}} changed", "{{server_name}}")


_TAG = "matrix-federation"
_DASHBOARDS_MENU = {
    "type": "dashboards",
    "title": "Matrix federation",
    "tags": [_TAG],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
}
LINK_TO_EXPORTER = {
    "type": "link",
    "title": "Page of the exporter",
    "url": exporter_page("server_name"),
    "icon": "external link",
    "targetBlank": True,
    "includeVars": False,
    "keepTime": False,
}
"""Of the dashboard of one server."""

# ---------------------------------------------------------------- dashboards


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    """Never changes, because links contain it."""
    title: str
    description: str
    variables: Sequence[Json]
    annotations: Sequence[Annotation]
    rows: Sequence[Row]
    links: Sequence[Json] = ()

    def json(self) -> Json:
        """Return the dashboard as Grafana imports it."""
        return {
            "uid": self.uid,
            "title": f"Matrix federation / {self.title}",
            "description": self.description,
            "tags": ["matrix", _TAG, "generated"],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,  # one crosshair over all panels
            "refresh": "1m",
            "time": {"from": "now-24h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": list(self.variables)},
            "annotations": {"list": [_BUILT_IN_ANNOTATION, *(each.json() for each in self.annotations)]},
            "links": [_DASHBOARDS_MENU, *self.links],
            "panels": arrange(self.rows),
        }
