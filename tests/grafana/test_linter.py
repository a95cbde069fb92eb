"""The dashboards keep the rules of Grafana's linter, and the rules find what breaks them."""

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


def editing(variable: str, key: str, value: object) -> Callable[[Json], Any]:
    return lambda dashboard: variables(dashboard, "query")[variable].update({key: value})


def asking(expression: str) -> Callable[[Json], Any]:
    return lambda dashboard: panels(dashboard)[0]["targets"][0].update(expr=expression)


def showing(**changed: object) -> Callable[[Json], Any]:
    return lambda dashboard: panels(dashboard)[0].update(changed)


def in_all(metric: str) -> str:
    return f'{metric}{{job=~"$job", instance=~"$instance"}}'


JOB = {"label": "Job", "multi": True, "allValue": ".+"}
BREAKS: list[tuple[str, Callable[[Json], Any], str]] = [
    (
        "template_datasource",
        lambda dashboard: variables(dashboard, "datasource")["datasource"].update(label="Source"),
        "expected one data source named datasource, found {'datasource': 'Source'}",
    ),
    (
        "template_job",
        editing("job", "multi", value=False),
        f"job: expected {JOB}, found {JOB | {'multi': False}}",
    ),
    (
        "template_instance",
        editing("instance", "datasource", {"uid": "P1"}),
        "instance: its data source is not the chosen one",
    ),
    (
        "template_label_promql",
        editing("job", "query", "label_values($elsewhere, job)"),
        "job: KeyError('elsewhere') in $elsewhere",
    ),
    (
        "template_on_time_change_reload",
        editing("job", "refresh", 1),
        "job: is not asked for again when the time range changes",
    ),
    ("panel_datasource", showing(datasource={"uid": "P1"}), "Watched: its data source is not the chosen one"),
    ("panel_title_description", showing(description=""), "panel 2: has no title, or no description"),
    ("panel_units", showing(fieldConfig={"defaults": {"unit": "seconds"}}), "Watched: 'seconds' is no unit"),
    ("panel_no_targets", showing(targets=[]), "Watched: asks nothing"),
    ("target_promql", asking("$elsewhere"), "Watched A: KeyError('elsewhere') in $elsewhere"),
    (
        "target_rate_interval",
        asking(f"rate({in_all('x_total')}[5m])"),
        "Watched A: takes the rate over another time than $__rate_interval",
    ),
    ("target_job", asking('sum(rate(x{job="a"}[1m]))'), 'Watched A: x lacks job=~"$job"'),
    ("target_instance", asking("x"), 'Watched A: x lacks instance=~"$instance"'),
    (
        "target_counter_agg",
        asking(f"rate({in_all('x_total')}[$__rate_interval]) / {in_all('x_total')}"),
        "Watched A: x_total is a counter, and its bare value says nothing",
    ),
    ("uneditable_dashboard", lambda dashboard: dashboard.update(editable=True), "can be edited"),
]


def test_every_rule_is_tried() -> None:
    assert [rule for rule, *_ in BREAKS] == list(RULE)


@pytest.mark.parametrize(("rule", "break_it", "complaint"), BREAKS, ids=RULE)
def test_rule_finds_what_breaks_it(rule: str, break_it: Callable[[Json], Any], complaint: str) -> None:
    dashboard = json.loads(json.dumps(ALL["overview.json"]))
    break_it(dashboard)
    assert set(RULE[rule](dashboard)) == {complaint}


def test_syntax_is_judged_as_prometheus_does() -> None:
    dashboard = json.loads(json.dumps(ALL["overview.json"]))
    asking("sum(x")(dashboard)
    (complaint,) = RULE["target_promql"](dashboard)
    assert complaint.startswith("Watched A: ValueError")
