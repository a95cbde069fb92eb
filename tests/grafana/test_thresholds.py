"""The dashboards take their thresholds from the alert rules."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from grafana.generate import build_dashboards
from grafana.renewal import RenewalState, renewal_state
from grafana.thresholds import RULES_FOLDER, RenewalThreshold, Thresholds, read_thresholds
from tests.grafana.dashboards import ALL, Json, panels, targets
from tests.programs import program

SOON, CRITICAL = "MatrixFederationCertificateExpiringSoon", "MatrixFederationCertificateExpiryCritical"
AVAILABILITY = "MatrixFederationAvailabilityLow"
DAY, HOUR = 86400, 3600


@pytest.fixture
def rules_folder(tmp_path: Path) -> Path:
    """Return a copy of the rule files that a test may edit."""
    return Path(shutil.copytree(RULES_FOLDER, tmp_path / "rules"))


def edit_expression(folder: Path, alert: str, old: str, new: str) -> None:
    """Replace `old`, which occurs once in the alert's expression."""
    for file in folder.iterdir():
        content = yaml.safe_load(file.read_text())
        for rule in (rule for group in content["groups"] for rule in group["rules"] if rule.get("alert") == alert):
            assert rule["expr"].count(old) == 1
            rule["expr"] = rule["expr"].replace(old, new)
            file.write_text(yaml.safe_dump(content))


def dashboards_of(folder: Path) -> dict[str, Json]:
    return {name: dashboard.json() for name, dashboard in build_dashboards(folder).items()}


def renewal_queries(dashboards: dict[str, Json]) -> Iterator[str]:
    """Yield the queries of all dashboards that compare the remaining time with the lifetime."""
    for dashboard in dashboards.values():
        yield from (target["expr"] for _, target in targets(dashboard) if "clamp_max" in target["expr"])


def find_panel(dashboard: Json, title: str) -> Json:
    (found,) = (panel for panel in panels(dashboard) if panel["title"] == title)
    return found


# ---------------------------------------------------------------- from the rules to the dashboards


def test_unchanged_rules_give_the_same_dashboards(rules_folder: Path) -> None:
    assert dashboards_of(rules_folder) == ALL


@pytest.mark.parametrize(
    ("alert", "old", "new"),
    [
        (SOON, "0.2 * min", "0.3125 * min"),
        (SOON, "21 * 86400", "23.5 * 86400"),
        (CRITICAL, "0.08 * min", "0.125 * min"),
        (CRITICAL, "7 * 86400", "8 * 86400"),
    ],
)
def test_every_renewal_query_has_the_threshold_of_the_alert(rules_folder: Path, alert: str, old: str, new: str) -> None:
    """On all three dashboards that show when to renew a certificate."""
    edit_expression(rules_folder, alert, old, new)
    changed = list(renewal_queries(dashboards_of(rules_folder)))
    assert changed == [
        query.replace(f" {old}", f" {new}").replace(f"({old}", f"({new}") for query in renewal_queries(ALL)
    ]
    assert all(new in query for query in changed)
    assert len(changed) == 6


@pytest.mark.parametrize(
    ("alert", "ratio", "days", "panel"), [(SOON, "0.2", "21", "Renew soon"), (CRITICAL, "0.08", "7", "Renew now")]
)
def test_descriptions_contain_the_thresholds_of_the_alert(
    rules_folder: Path, alert: str, ratio: str, days: str, panel: str
) -> None:
    edit_expression(rules_folder, alert, f"{ratio} *", "0.5 *")
    edit_expression(rules_folder, alert, f"{days} *", "33 *")
    dashboards = dashboards_of(rules_folder)
    expected = "less than 50 % of the lifetime and 33 days left"
    assert expected in find_panel(dashboards["certificates.json"], panel)["description"]
    assert expected in find_panel(dashboards["server.json"], "Certificates")["description"]


def test_availability_is_green_while_the_alert_tolerates_the_failures(rules_folder: Path) -> None:
    edit_expression(rules_folder, AVAILABILITY, "> 0.005", "> 0.02")
    panel = find_panel(dashboards_of(rules_folder)["server.json"], "Availability")
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "orange", "value": 0.8},
        {"color": "green", "value": 0.98},
    ]
    assert "up to 2 % of the probes" in panel["description"]


# ---------------------------------------------------------------- expressions that cannot be read


@pytest.mark.parametrize(
    ("alert", "old", "new"),
    [
        (SOON, "21 * 86400", "1814400"),
        (SOON, "> 0", ">= 0"),
        (SOON, "- time()", "- time() - 3600"),
        (CRITICAL, "0.08 * min", "0.08 * max"),
        (CRITICAL, "clamp_max", "clamp_min"),
        (AVAILABILITY, "> 0.005", ">= 0.005"),
        (AVAILABILITY, "> 0.005", "* 100 > 0.5"),
        (AVAILABILITY, "and", "unless"),
    ],
)
def test_expression_of_another_shape_raises(rules_folder: Path, alert: str, old: str, new: str) -> None:
    """A number in another place may have another meaning."""
    edit_expression(rules_folder, alert, old, new)
    with pytest.raises(ValueError, match=rf"^{alert}: expected an expression like '.+', found '.+'; adapt grafana/"):
        read_thresholds(rules_folder)


@pytest.mark.parametrize(
    ("file", "alert"), [("certificates.yml", SOON), ("servers.yml", AVAILABILITY)], ids=["certificates", "servers"]
)
def test_missing_alert_raises(rules_folder: Path, file: str, alert: str) -> None:
    (rules_folder / file).unlink()
    with pytest.raises(ValueError, match=rf"^{alert}: no rule file defines this alert$"):
        read_thresholds(rules_folder)


# ---------------------------------------------------------------- the renewal state

THRESHOLDS = Thresholds(RenewalThreshold(0.2, 21), RenewalThreshold(0.08, 7), 0.005)
STATE_BY_HOUR = {
    "of-90-days": (90, {72 * 24: 3, 72 * 24 + 1: 2, 83 * 24: 2, 83 * 24 + 1: 1, 90 * 24 - 1: 1, 90 * 24: 0}),
    "of-50-days": (50, {40 * 24: 3, 40 * 24 + 1: 2, 46 * 24: 2, 46 * 24 + 1: 1, 50 * 24: 0}),
    "of-200-days": (200, {179 * 24: 3, 179 * 24 + 1: 2, 193 * 24: 2, 193 * 24 + 1: 1, 200 * 24 + 9: 0}),
}
"""The lifetime in days, and the expected state by hour: at the limits and right after them."""


@pytest.mark.system("promtool")
@pytest.mark.parametrize("name", STATE_BY_HOUR)
def test_renewal_state_changes_when_the_alerts_would_fire(name: str, tmp_path: Path) -> None:
    """As evaluated by Prometheus."""
    days, states = STATE_BY_HOUR[name]
    hours = max(states) + 1
    expression = renewal_state("not_after", "not_after", "not_before", THRESHOLDS, "server_name")
    case = {
        "interval": "1h",
        "input_series": [
            {"series": f'not_before{{server_name="{name}"}}', "values": f"0x{hours}"},
            {"series": f'not_after{{server_name="{name}"}}', "values": f"{days * DAY}x{hours}"},
        ],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{hour}h",
                "exp_samples": [{"labels": f'{{server_name="{name}"}}', "value": state}],
            }
            for hour, state in states.items()
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"evaluation_interval": "1h", "tests": [case]}))
    result = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert set(states.values()) == set(RenewalState)
