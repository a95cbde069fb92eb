"""The kinds of panels, each a function that returns Grafana's JSON (the classic schema, as of Grafana 10.4)."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from grafana.value_mappings import FieldStyle, Json

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
EXPORTER_URL = "exporter_url"
"""The variable with the URL of the exporter, as browsers reach it."""
_VARIABLES = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "instance", EXPORTER_URL))
_LAST_VALUE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_HIDDEN_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": False}
_SINGLE_TOOLTIP = {"mode": "single", "sort": "none"}


# ---------------------------------------------------------------- queries


def range_query(expression: str, legend: str) -> Json:
    """Return a query over the whole time range. `legend` may contain labels, as in `{{server_name}}`."""
    return {"expr": expression, "legendFormat": legend, "range": True, "instant": False, "format": "time_series"}


def instant_query(expression: str, legend: str = "") -> Json:
    """Return a query at the end of the time range."""
    return {"expr": expression, "legendFormat": legend, "range": False, "instant": True, "format": "time_series"}


def table_query(expression: str) -> Json:
    """Return an instant query for a table, which gets a row for each series."""
    return instant_query(expression) | {"format": "table"}


# ---------------------------------------------------------------- panels


def panel(kind: str, title: str, description: str, style: FieldStyle, queries: Sequence[Json]) -> Json:
    """Return what all kinds of panels have in common. Each kind adds its `options`, `layout` the ID and position."""
    common = {"datasource": DATA_SOURCE, "editorMode": "code"}
    targets = [{"refId": ref, **common, **query} for ref, query in zip(ascii_uppercase, queries, strict=False)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": style.field_options(), "overrides": []},
    }


def add_field_options(made: Json, **options: Any) -> Json:
    """Add field options that apply to all fields of the panel, and return it."""
    made["fieldConfig"]["defaults"].update(options)
    return made


def stat(title: str, description: str, style: FieldStyle, *queries: Json, text_mode: str = "auto") -> Json:
    """Return a panel with the last value of each query. `text_mode` is `value`, `name` or `value_and_name`."""
    options = {
        "reduceOptions": _LAST_VALUE,
        "orientation": "auto",
        "textMode": text_mode,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
    }
    made = panel("stat", title, description, style, queries) | {"options": options}
    return add_field_options(made, color={"mode": "thresholds"})


def bar_gauge(title: str, description: str, style: FieldStyle, *queries: Json, names: str = "left") -> Json:
    """Return a panel of horizontal bars, each with its number. Its name is to the `left` of it, or on `top`."""
    options = {
        "reduceOptions": _LAST_VALUE,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
        "namePlacement": names,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 32 if names == "left" else 64,
        "sizing": "manual",
    }
    made = panel("bargauge", title, description, style, queries) | {"options": options}
    return add_field_options(made, color={"mode": "thresholds"})


def time_series(title: str, description: str, style: FieldStyle, *queries: Json, stacked: bool = False) -> Json:
    """Return a graph of lines, or of stacked areas."""
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
    made = panel("timeseries", title, description, style, queries) | {"options": options}
    return add_field_options(made, color={"mode": "palette-classic"}, custom=custom)


def state_timeline(title: str, description: str, style: FieldStyle, *queries: Json, rows: int = 8) -> Json:
    """Return a panel with a row for each series: equal values are merged, missing values are gaps.

    If there are more than `rows`, Grafana 11.2 and later divides them into pages.
    """
    options = {
        "showValue": "always",
        "mergeValues": True,
        "alignValue": "left",
        "rowHeight": 0.9,
        "perPage": rows,
        "legend": _HIDDEN_LEGEND,
        "tooltip": _SINGLE_TOOLTIP,
    }
    made = panel("state-timeline", title, description, style, queries) | {"options": options}
    return add_field_options(made, color={"mode": "thresholds"}, custom={"lineWidth": 0, "fillOpacity": 80})


def status_history(
    title: str, description: str, style: FieldStyle, max_cells: int, *queries: Json, rows: int = 25
) -> Json:
    """Return a panel with a row of at most `max_cells` cells for each server, and with pages as in a timeline."""
    options = {
        "showValue": "always",
        "rowHeight": 0.9,
        "colWidth": 0.9,
        "perPage": rows,
        "legend": _HIDDEN_LEGEND,
        "tooltip": _SINGLE_TOOLTIP,
    }
    made = panel("status-history", title, description, style, queries)
    made |= {"options": options, "maxDataPoints": max_cells}
    return add_field_options(
        made,
        color={"mode": "thresholds"},
        custom={"lineWidth": 0, "fillOpacity": 80},
        links=links_to_server("__field.labels.server_name"),
    )


# ---------------------------------------------------------------- links


def links_to_server(field: str) -> list[Json]:
    """Return links to the server named in `field`: to its dashboard, with the same variables and time range, and to its
    page of the exporter.
    """
    url = f"/d/mxfed-server?var-server_name=${{{field}}}&{_VARIABLES}&${{__url_time_range}}"
    dashboard = {"title": "Show this server", "url": url, "targetBlank": False}
    return [dashboard, link_to_page("Open its page of the exporter", exporter_page(field))]


def exporter_page(field: str) -> str:
    """Return the URL of the exporter's page of the server named in `field`."""
    return f"${{{EXPORTER_URL}:raw}}/servers/${{{field}}}"


def link_to_page(title: str, url: str) -> Json:
    return {"title": title, "url": url, "targetBlank": True}
