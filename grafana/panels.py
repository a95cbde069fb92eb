"""The kinds of panels, each a function to Grafana's JSON (the classic schema, as of Grafana 10.4)."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from grafana.value_mappings import Json, Look

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FILTERS = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


# ---------------------------------------------------------------- what is asked


def over_time(expression: str, legend: str) -> Json:
    """The whole range; `legend` may name labels, as `{{server_name}}`."""
    return {"expr": expression, "legendFormat": legend, "range": True, "instant": False, "format": "time_series"}


def now(expression: str, legend: str = "") -> Json:
    """The end of the range only."""
    return {"expr": expression, "legendFormat": legend, "range": False, "instant": True, "format": "time_series"}


def rows(expression: str) -> Json:
    """As `now`, for tables: one row for each series."""
    return now(expression) | {"format": "table"}


# ---------------------------------------------------------------- what is shown


def panel(kind: str, title: str, description: str, look: Look, targets: Sequence[Json]) -> Json:
    """What all kinds have in common. Each has `options` of its own besides, and `layout` gives it its id and place."""
    common = {"datasource": DATA_SOURCE, "editorMode": "code"}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "targets": [{"refId": ref, **common, **target} for ref, target in zip(ascii_uppercase, targets, strict=False)],
        "fieldConfig": {"defaults": look.settings(), "overrides": []},
    }


def with_defaults(made: Json, **more: Any) -> Json:
    """More of Grafana's field options, for all fields of a panel."""
    made["fieldConfig"]["defaults"].update(more)
    return made


def stat(title: str, description: str, look: Look, *targets: Json, shows: str = "auto") -> Json:
    """The latest value of each target; `shows` is `value`, `name` or `value_and_name`."""
    options = {
        "reduceOptions": LAST,
        "orientation": "auto",
        "textMode": shows,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
    }
    made = panel("stat", title, description, look, targets) | {"options": options}
    return with_defaults(made, color={"mode": "thresholds"})


def bars(title: str, description: str, look: Look, *targets: Json) -> Json:
    """Lying bars, each with its name and its number."""
    options = {
        "reduceOptions": LAST,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
        "namePlacement": "auto",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "sizing": "auto",
    }
    made = panel("bargauge", title, description, look, targets) | {"options": options}
    return with_defaults(made, color={"mode": "thresholds"})


def lines(title: str, description: str, look: Look, *targets: Json, stacked: bool = False) -> Json:
    """Curves over time, or areas upon one another."""
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 5,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    made = panel("timeseries", title, description, look, targets) | {"options": options}
    return with_defaults(made, color={"mode": "palette-classic"}, custom=custom)


def states(title: str, description: str, look: Look, *targets: Json) -> Json:
    """A row for each series, in which equal values are one bar: where there is no value, there is a gap."""
    options = {
        "showValue": "always",
        "mergeValues": True,
        "alignValue": "left",
        "rowHeight": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    made = panel("state-timeline", title, description, look, targets) | {"options": options}
    return with_defaults(made, color={"mode": "thresholds"}, custom={"lineWidth": 0, "fillOpacity": 80})


def history(title: str, description: str, look: Look, cells: int, *targets: Json) -> Json:
    """A row for each series, of at most so many cells."""
    options = {
        "showValue": "always",
        "rowHeight": 0.9,
        "colWidth": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    made = panel("status-history", title, description, look, targets) | {"options": options, "maxDataPoints": cells}
    custom = {"lineWidth": 0, "fillOpacity": 80}
    return with_defaults(
        made, color={"mode": "thresholds"}, custom=custom, links=[server_link("__field.labels.server_name")]
    )


# ---------------------------------------------------------------- links


def server_link(field: str) -> Json:
    """To the dashboard of the server that `field` holds, with the same filters and time range."""
    url = f"/d/mxfed-server?var-server_name=${{{field}}}&{FILTERS}"
    return {"title": "Show this server", "url": url, "targetBlank": False}


def page_link(title: str, url: str) -> Json:
    return {"title": title, "url": url, "targetBlank": True}
