"""The rules of Grafana's dashboard-linter 0.2, which is written in Go: here they are again, each a function.

https://github.com/grafana/dashboard-linter/tree/main/docs. A rule yields a complaint for everything that breaks it. Its
two rules about logs have nothing to judge here.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import promql_parser
from promql_parser import Call, Expr, VectorSelector

from tests.grafana.dashboards import Json, filled, label_values, panels, targets, variables

Node = TypeVar("Node", bound=Expr)

RATE_INTERVAL = "4m13s"  # a length that nobody would write
VALUES = {
    "__rate_interval": RATE_INTERVAL,
    "__range": "1h",
    "__interval": "1m",
    "job": "$job",
    "instance": "$instance",
    "server_name": "some server",
    "shown": "1",
}
RATES = {"rate", "irate"}
INCREASES = {*RATES, "increase"}
DATA_SOURCES = ("$datasource", "${datasource}")
UNITS = {
    *("none", "short", "percentunit", "bytes", "s", "ops"),
    *("dtdurations", "dateTimeAsIso", "dateTimeFromNow"),
}
"""Of those that the linter knows, these are used."""


def template_datasource(dashboard: Json) -> Iterator[str]:
    found = {name: variable["label"] for name, variable in variables(dashboard, "datasource").items()}
    if found != {"datasource": "Data source"}:
        yield f"expected one data source named datasource, found {found}"


def template_job(dashboard: Json) -> Iterator[str]:
    yield from template(dashboard, "job")


def template_instance(dashboard: Json) -> Iterator[str]:
    yield from template(dashboard, "instance")


def template(dashboard: Json, name: str) -> Iterator[str]:
    expected = {"label": name.title(), "multi": True, "allValue": ".+"}
    variable = variables(dashboard, "query").get(name, {"datasource": {"uid": None}})
    found = {key: variable.get(key) for key in expected}
    if found != expected:
        yield f"{name}: expected {expected}, found {found}"
    if variable["datasource"]["uid"] not in DATA_SOURCES:
        yield f"{name}: its data source is not the chosen one"


def template_label_promql(dashboard: Json) -> Iterator[str]:
    for name, variable in variables(dashboard, "query").items():
        if complaint := syntax(label_values(variable["query"])[0]):
            yield f"{name}: {complaint}"


def template_on_time_change_reload(dashboard: Json) -> Iterator[str]:
    for name, variable in variables(dashboard, "query").items():
        if variable["refresh"] != 2:
            yield f"{name}: is not asked for again when the time range changes"


def panel_datasource(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if panel["datasource"]["uid"] not in DATA_SOURCES:
            yield f"{panel['title']}: its data source is not the chosen one"


def panel_title_description(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if not (panel["title"] and panel["description"]):
            yield f"panel {panel['id']}: has no title, or no description"


def panel_units(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield f"{panel['title']}: {unit!r} is no unit"


def panel_no_targets(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if not panel["targets"]:
            yield f"{panel['title']}: asks nothing"


def target_promql(dashboard: Json) -> Iterator[str]:
    for title, target in targets(dashboard):
        if complaint := syntax(target["expr"]):
            yield f"{title}: {complaint}"


def target_rate_interval(dashboard: Json) -> Iterator[str]:
    expected = promql_parser.parse_duration(RATE_INTERVAL)
    for title, call in calls(dashboard, RATES):
        if any(ranged.range != expected for ranged in call.args):
            yield f"{title}: takes the rate over another time than $__rate_interval"


def target_job(dashboard: Json) -> Iterator[str]:
    yield from target_matcher(dashboard, "job")


def target_instance(dashboard: Json) -> Iterator[str]:
    yield from target_matcher(dashboard, "instance")


def target_matcher(dashboard: Json, label: str) -> Iterator[str]:
    for title, target in targets(dashboard):
        for selector in selectors(parsed(target["expr"])):
            matchers = {(each.name, str(each.op), each.value) for each in selector.matchers.matchers}
            if (label, "MatchOp.Re", f"${label}") not in matchers:
                yield f'{title}: {selector.name} lacks {label}=~"${label}"'


def target_counter_agg(dashboard: Json) -> Iterator[str]:
    for title, target in targets(dashboard):
        whole = parsed(target["expr"])
        increases = [call for call in nodes(whole, Call) if call.func.name in INCREASES]
        inside = [ranged.vector_selector.name for call in increases for ranged in call.args]
        counters = [selector.name for selector in selectors(whole) if str(selector.name).endswith("_total")]
        for name in counters:
            if counters.count(name) > inside.count(name):
                yield f"{title}: {name} is a counter, and its bare value says nothing"


def uneditable_dashboard(dashboard: Json) -> Iterator[str]:
    if dashboard["editable"]:
        yield "can be edited"


RULES: tuple[Callable[[Json], Iterator[str]], ...] = (
    template_datasource,
    template_job,
    template_instance,
    template_label_promql,
    template_on_time_change_reload,
    panel_datasource,
    panel_title_description,
    panel_units,
    panel_no_targets,
    target_promql,
    target_rate_interval,
    target_job,
    target_instance,
    target_counter_agg,
    uneditable_dashboard,
)

# ---------------------------------------------------------------- PromQL


def parsed(expression: str) -> Expr:
    return promql_parser.parse(filled(expression, VALUES))


def syntax(expression: str) -> str | None:
    """What is wrong with it."""
    try:
        parsed(expression)
    except (KeyError, ValueError) as error:
        return f"{error!r} in {expression}"
    return None


def nodes(expression: Expr, kind: type[Node]) -> list[Node]:
    """Those of one kind, however deep."""
    found: list[Node] = []

    def visit(node: Expr) -> None:
        if isinstance(node, kind):
            found.append(node)

    promql_parser.walk(expression, visit)
    return found


def selectors(expression: Expr) -> list[VectorSelector]:
    return nodes(expression, VectorSelector)


def calls(dashboard: Json, functions: set[str]) -> Iterator[tuple[str, Call]]:
    """With the title of the panel."""
    for title, target in targets(dashboard):
        for call in nodes(parsed(target["expr"]), Call):
            if call.func.name in functions:
                yield title, call
