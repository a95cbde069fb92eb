"""Access to the content of the generated dashboards."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from grafana.generate import build_dashboards

Json = dict[str, Any]

ALL: dict[str, Json] = {name: dashboard.json() for name, dashboard in build_dashboards().items()}
"""The dashboards by file name."""

_VARIABLE = re.compile(
    r"\$(?:([a-zA-Z_]\w*)|\{(\w+)(?::\w+)?\})"
)  # $1 is a group of label_replace, which Grafana leaves alone


def panels(dashboard: Json) -> list[Json]:
    """Return the panels without the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """Yield every query, with the title of its panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target


def variables(dashboard: Json, kind: str) -> dict[str, Json]:
    """Return the variables of one kind by name."""
    return {each["name"]: each for each in dashboard["templating"]["list"] if each["type"] == kind}


def annotations(dashboard: Json) -> dict[str, str]:
    """Return the expressions of annotations by name."""
    return {each["name"]: each["expr"] for each in dashboard["annotations"]["list"] if "expr" in each}


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Return the text with variables replaced, as Grafana does. Raises KeyError for an unknown variable."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def label_values(query: str) -> tuple[str, str]:
    """Return the selector and the label of a variable's query."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert found, query
    return found[1], found[2]
