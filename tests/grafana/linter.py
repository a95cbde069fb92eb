"""The rules of Grafana's dashboard-linter 0.2, which is written in Go, each as a function.

https://github.com/grafana/dashboard-linter/tree/main/docs. Each rule yields a complaint for every violation. The two
rules about logs are omitted, because no dashboard shows logs.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import promql_parser
from promql_parser import Call, Expr, VectorSelector

from tests.grafana.dashboards import Json, interpolate, label_values, panels, targets, variables

Node = TypeVar("Node", bound=Expr)

RATE_INTERVAL = "4m13s"  # no expression contains it by chance
VALUES = {
    "__rate_interval": RATE_INTERVAL,
    "__range": "1h",
    "__interval": "1m",
    "job": "$job",
    "instance": "$instance",
    "server_name": "some server",
    "shown": "1",
    "exporter_url": "https://exporter.example.org",
}
RATES = {"rate", "irate"}
INCREASES = {*RATES, "increase"}
DATA_SOURCES = ("$datasource", "${datasource}")
UNITS = {
    *("none", "short", "percentunit", "bytes", "s", "ops"),
    *("dtdurations", "dateTimeAsIso", "dateTimeFromNow"),
}
"""The units in use, all of which the linter knows."""
OF_ALERTS = {"ALERTS", "ALERTS_FOR_STATE"}
"""Series without the label `instance`: an alert is about what several exporters have found."""


def template_datasource(dashboard: Json) -> Iterator[str]:
    found = {name: variable["label"] for name, variable in variables(dashboard, "datasource").items()}
    if found != {"datasource": "Data source"}:
        yield f"expected one data source named datasource, found {found}"


def template_job(dashboard: Json) -> Iterator[str]:
    yield from check_template(dashboard, "job")


def template_instance(dashboard: Json) -> Iterator[str]:
    yield from check_template(dashboard, "instance")


def check_template(dashboard: Json, name: str) -> Iterator[str]:
    expected = {"label": name.title(), "multi": True, "allValue": ".+"}
    variable = variables(dashboard, "query").get(name, {"datasource": {"uid": None}})
    found = {key: variable.get(key) for key in expected}
    if found != expected:
        yield f"{name}: expected {expected}, found {found}"
    if variable["datasource"]["uid"] not in DATA_SOURCES:
        yield f"{name}: does not use the selected data source"


def template_label_promql(dashboard: Json) -> Iterator[str]:
    for name, variable in variables(dashboard, "query").items():
        if complaint := find_syntax_error(label_values(variable["query"])[0]):
            yield f"{name}: {complaint}"


def template_on_time_change_reload(dashboard: Json) -> Iterator[str]:
    for name, variable in variables(dashboard, "query").items():
        if variable["refresh"] != 2:
            yield f"{name}: is not refreshed when the time range changes"


def panel_datasource(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if panel["datasource"]["uid"] not in DATA_SOURCES:
            yield f"{panel['title']}: does not use the selected data source"


def panel_title_description(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if not (panel["title"] and panel["description"]):
            yield f"panel {panel['id']}: lacks a title or a description"


def panel_units(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield f"{panel['title']}: {unit!r} is not a unit"


def panel_no_targets(dashboard: Json) -> Iterator[str]:
    for panel in panels(dashboard):
        if not panel["targets"]:
            yield f"{panel['title']}: has no query"


def target_promql(dashboard: Json) -> Iterator[str]:
    for title, target in targets(dashboard):
        if complaint := find_syntax_error(target["expr"]):
            yield f"{title}: {complaint}"


def target_rate_interval(dashboard: Json) -> Iterator[str]:
    expected = promql_parser.parse_duration(RATE_INTERVAL)
    for title, call in find_calls(dashboard, RATES):
        if any(matrix.range != expected for matrix in call.args):
            yield f"{title}: uses a rate interval other than $__rate_interval"


def target_job(dashboard: Json) -> Iterator[str]:
    yield from check_target_matcher(dashboard, "job")


def target_instance(dashboard: Json) -> Iterator[str]:
    yield from check_target_matcher(dashboard, "instance")


def check_target_matcher(dashboard: Json, label: str) -> Iterator[str]:
    for title, target in targets(dashboard):
        for selector in find_selectors(parse(target["expr"])):
            matchers = {(each.name, str(each.op), each.value) for each in selector.matchers.matchers}
            if selector.name in OF_ALERTS and label == "instance":
                continue
            if (label, "MatchOp.Re", f"${label}") not in matchers:
                yield f'{title}: {selector.name} lacks {label}=~"${label}"'


def target_counter_agg(dashboard: Json) -> Iterator[str]:
    for title, target in targets(dashboard):
        expression = parse(target["expr"])
        increases = [call for call in find_nodes(expression, Call) if call.func.name in INCREASES]
        inside = [matrix.vector_selector.name for call in increases for matrix in call.args]
        counters = [selector.name for selector in find_selectors(expression) if str(selector.name).endswith("_total")]
        for name in counters:
            if counters.count(name) > inside.count(name):
                yield f"{title}: shows the raw value of the counter {name}"


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


def parse(expression: str) -> Expr:
    return promql_parser.parse(interpolate(expression, VALUES))


def find_syntax_error(expression: str) -> str | None:
    try:
        parse(expression)
    except (KeyError, ValueError) as error:
        return f"{error!r} in {expression}"
    return None


def find_nodes(expression: Expr, kind: type[Node]) -> list[Node]:
    """Return all nodes of one kind, at any depth."""
    found: list[Node] = []

    def visit(node: Expr) -> None:
        if isinstance(node, kind):
            found.append(node)

    promql_parser.walk(expression, visit)
    return found


def find_selectors(expression: Expr) -> list[VectorSelector]:
    return find_nodes(expression, VectorSelector)


def find_calls(dashboard: Json, functions: set[str]) -> Iterator[tuple[str, Call]]:
    """Yield every call of one of the functions, with the title of its panel."""
    for title, target in targets(dashboard):
        for call in find_nodes(parse(target["expr"]), Call):
            if call.func.name in functions:
                yield title, call
