"""What all dashboards have in common: the frame around the panels."""

from collections.abc import Sequence
from dataclasses import dataclass

from exporter.instruments import NAMESPACE
from exporter.metrics import PREFIX
from grafana.layout import Section, laid_out
from grafana.panels import DATA_SOURCE
from grafana.promql import CHOSEN_EXPORTERS, series
from grafana.value_mappings import Json

SCHEMA_VERSION = 39  # what Grafana 10.4 writes: later ones bring it up to date when they load it
ALL = ".+"
OF_SERVERS = f"{PREFIX}probe_interval_seconds"  # there from the first moment on, and when results are too old
OF_EXPORTERS = f"{NAMESPACE}_build_info"

# ---------------------------------------------------------------- variables


def data_source() -> Json:
    return {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "refresh": 1}


def variable(name: str, label: str, metric: str, *matchers: str) -> Json:
    """The values of the label `name`, of which one is chosen."""
    query = (
        f"label_values({metric}{{{', '.join(matchers)}}}, {name})" if matchers else f"label_values({metric}, {name})"
    )
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


def any_number(one: Json) -> Json:
    """A variable of which several values can be chosen, and all of them are at first."""
    chosen = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return one | {"multi": True, "includeAll": True, "allValue": ALL, "current": chosen}


def exporters(metric: str) -> list[Json]:
    """The data source, and which of the exporters that have `metric`."""
    job = variable("job", "Job", metric)
    instance = variable("instance", "Instance", metric, CHOSEN_EXPORTERS[0])
    return [data_source(), any_number(job), any_number(instance)]


def one_server() -> Json:
    return variable("server_name", "Server", OF_SERVERS, *CHOSEN_EXPORTERS)


def servers() -> Json:
    return any_number(one_server())


def choice(name: str, label: str, options: Sequence[tuple[str, str]]) -> Json:
    """One of several values, each with its text; the first at first."""
    texts = [{"text": text, "value": value, "selected": number == 0} for number, (text, value) in enumerate(options)]
    query = ", ".join(f"{text} : {value}" for text, value in options)
    return {"type": "custom", "name": name, "label": label, "query": query, "options": texts, "current": texts[0]}


# ---------------------------------------------------------------- annotations and links

BUILT_IN = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Marks the moments when `expression` has a value. Can be switched at the top of the page."""

    name: str
    expression: str
    colour: str
    title: str
    text: str
    """May name labels, as `{{server_name}}`; so may `title`."""
    enabled: bool = True

    def annotation(self) -> Json:
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


RESTARTED = Mark(
    "Exporter restarts",
    f"changes({series('process_start_time_seconds')}[$__rate_interval]) > 0",
    "blue",
    "Exporter restarted",
    "{{instance}}",
)
FIRING = Mark(
    "Firing alerts",
    f'ALERTS{{{CHOSEN_EXPORTERS[0]}, alertname=~"MatrixFederation.+", alertstate="firing"}}',
    "red",
    "{{alertname}}",
    "{{severity}} {{server_name}}",
    enabled=False,
)


def delegation_changed(changes: str) -> Mark:
    """At every increase of the counters `changes`."""
    expression = f"sum by (server_name) (increase({changes}[$__rate_interval])) > 0"
    return Mark("Delegation changes", expression, "purple", "Delegation changed", "{{server_name}}")


# ---------------------------------------------------------------- the whole

FAMILY_TAG = "matrix-federation"
TO_THE_OTHERS = {
    "type": "dashboards",
    "title": "Matrix federation",
    "tags": [FAMILY_TAG],
    "asDropdown": True,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
}


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    """Never changes: links name it."""
    title: str
    description: str
    variables: tuple[Json, ...]
    marks: tuple[Mark, ...]
    sections: tuple[Section, ...]

    def json(self) -> Json:
        """As Grafana imports it."""
        return {
            "uid": self.uid,
            "title": f"Matrix federation / {self.title}",
            "description": self.description,
            "tags": ["matrix", FAMILY_TAG, "generated"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": False,
            "graphTooltip": 1,  # one crosshair over all panels
            "refresh": "1m",
            "time": {"from": "now-24h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": list(self.variables)},
            "annotations": {"list": [BUILT_IN, *(mark.annotation() for mark in self.marks)]},
            "links": [TO_THE_OTHERS],
            "panels": laid_out(self.sections),
        }
