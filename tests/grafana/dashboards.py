"""What stands in a dashboard."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from grafana.generate import DASHBOARDS

Json = dict[str, Any]

ALL: dict[str, Json] = {name: dashboard().json() for name, dashboard in DASHBOARDS.items()}

VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)(?::\w+)?\}")


def panels(dashboard: Json) -> list[Json]:
    """Those that show something: not the headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """With the title of the panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target


def variables(dashboard: Json, kind: str) -> dict[str, Json]:
    """By name."""
    return {each["name"]: each for each in dashboard["templating"]["list"] if each["type"] == kind}


def marks(dashboard: Json) -> dict[str, str]:
    """What annotations ask, by name."""
    return {each["name"]: each["expr"] for each in dashboard["annotations"]["list"] if "expr" in each}


def filled(text: str, values: Mapping[str, str]) -> str:
    """As Grafana would put the values of variables in place. Raises KeyError for one that there is not."""
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def label_values(query: str) -> tuple[str, str]:
    """The selector and the label of a variable's query."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert found, query
    return found[1], found[2]
