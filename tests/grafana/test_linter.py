"""The dashboards obey the rules of Grafana's linter, and each rule detects a violation."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.grafana.dashboards import ALL, Json, panels, variables
from tests.grafana.linter import RULES

RULE = {rule.__name__: rule for rule in RULES}


@pytest.mark.parametrize("rule", RULE)
@pytest.mark.parametrize("name", ALL)
def test_rule_holds(name: str, rule: str) -> None:
    assert list(RULE[rule](ALL[name])) == []


def set_variable(variable: str, key: str, value: object) -> Callable[[Json], Any]:
    return lambda dashboard: variables(dashboard, "query")[variable].update({key: value})


def set_query(expression: str) -> Callable[[Json], Any]:
    return lambda dashboard: panels(dashboard)[0]["targets"][0].update(expr=expression)


def update_panel(**changed: object) -> Callable[[Json], Any]:
    return lambda dashboard: panels(dashboard)[0].update(changed)


def select(metric: str) -> str:
    return f'{metric}{{job=~"$job", instance=~"$instance"}}'


JOB = {"label": "Job", "multi": True, "allValue": ".+"}
VIOLATIONS: list[tuple[str, Callable[[Json], Any], str]] = [
    (
        "template_datasource",
        lambda dashboard: variables(dashboard, "datasource")["datasource"].update(label="Source"),
        "expected one data source named datasource, found {'datasource': 'Source'}",
    ),
    (
        "template_job",
        set_variable("job", "multi", value=False),
        f"job: expected {JOB}, found {JOB | {'multi': False}}",
    ),
    (
        "template_instance",
        set_variable("instance", "datasource", {"uid": "P1"}),
        "instance: does not use the selected data source",
    ),
    (
        "template_label_promql",
        set_variable("job", "query", "label_values($undefined, job)"),
        "job: KeyError('undefined') in $undefined",
    ),
    (
        "template_on_time_change_reload",
        set_variable("job", "refresh", 1),
        "job: is not refreshed when the time range changes",
    ),
    (
        "panel_datasource",
        update_panel(datasource={"uid": "P1"}),
        "Watched servers: does not use the selected data source",
    ),
    ("panel_title_description", update_panel(description=""), "panel 2: lacks a title or a description"),
    (
        "panel_units",
        update_panel(fieldConfig={"defaults": {"unit": "seconds"}}),
        "Watched servers: 'seconds' is not a unit",
    ),
    ("panel_no_targets", update_panel(targets=[]), "Watched servers: has no query"),
    ("target_promql", set_query("$undefined"), "Watched servers A: KeyError('undefined') in $undefined"),
    (
        "target_rate_interval",
        set_query(f"rate({select('x_total')}[5m])"),
        "Watched servers A: uses a rate interval other than $__rate_interval",
    ),
    ("target_job", set_query('sum(rate(x{job="a"}[1m]))'), 'Watched servers A: x lacks job=~"$job"'),
    ("target_instance", set_query("x"), 'Watched servers A: x lacks instance=~"$instance"'),
    (
        "target_counter_agg",
        set_query(f"rate({select('x_total')}[$__rate_interval]) / {select('x_total')}"),
        "Watched servers A: shows the raw value of the counter x_total",
    ),
    ("uneditable_dashboard", lambda dashboard: dashboard.update(editable=True), "can be edited"),
]


def test_every_rule_has_a_violation() -> None:
    assert [rule for rule, *_ in VIOLATIONS] == list(RULE)


@pytest.mark.parametrize(("rule", "violate", "complaint"), VIOLATIONS, ids=RULE)
def test_rule_detects_its_violation(rule: str, violate: Callable[[Json], Any], complaint: str) -> None:
    dashboard = json.loads(json.dumps(ALL["overview.json"]))
    violate(dashboard)
    assert set(RULE[rule](dashboard)) == {complaint}


def test_promql_with_a_syntax_error_is_rejected() -> None:
    dashboard = json.loads(json.dumps(ALL["overview.json"]))
    set_query("sum(x")(dashboard)
    (complaint,) = RULE["target_promql"](dashboard)
    assert complaint.startswith("Watched servers A: ValueError")
