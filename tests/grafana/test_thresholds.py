"""The dashboards take their thresholds from the alert rules."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.metrics.rules.values import defaults
from grafana.generate import build_dashboards
from grafana.thresholds import RenewalState, RenewalThreshold, Thresholds, renewal_state
from tests.grafana.dashboards import ALL, Json, panels, targets
from tests.programs import program

SOON, CRITICAL = "MatrixFederationCertificateExpiringSoon", "MatrixFederationCertificateExpiryCritical"
AVAILABILITY = "MatrixFederationAvailabilityLow"
DAY, HOUR = 86400, 3600


def dashboards_with(alert: str, **values: str) -> dict[str, Json]:
    """Return the dashboards for rules in which the alert has other values."""
    known = defaults()
    changed = replace(known, alerts={**known.alerts, alert: {**known.alerts[alert], **values}})
    return {name: dashboard.json() for name, dashboard in build_dashboards(changed).items()}


def renewal_queries(dashboards: dict[str, Json]) -> Iterator[str]:
    """Yield the queries of all dashboards that compare the remaining time with the lifetime."""
    for dashboard in dashboards.values():
        yield from (target["expr"] for _, target in targets(dashboard) if "clamp_max" in target["expr"])


def find_panel(dashboard: Json, title: str) -> Json:
    (found,) = (panel for panel in panels(dashboard) if panel["title"] == title)
    return found


# ---------------------------------------------------------------- from the rules to the dashboards


@pytest.mark.parametrize(
    ("alert", "key", "old", "new"),
    [
        (SOON, "lifetime_ratio", "0.2 * min", "0.3125 * min"),
        (SOON, "days", "21 * 86400", "23.5 * 86400"),
        (CRITICAL, "lifetime_ratio", "0.08 * min", "0.125 * min"),
        (CRITICAL, "days", "7 * 86400", "8 * 86400"),
    ],
)
def test_every_renewal_query_has_the_threshold_of_the_alert(alert: str, key: str, old: str, new: str) -> None:
    """On all three dashboards that show when to renew a certificate."""
    changed = list(renewal_queries(dashboards_with(alert, **{key: new.partition(" ")[0]})))
    assert changed == [
        query.replace(f" {old}", f" {new}").replace(f"({old}", f"({new}") for query in renewal_queries(ALL)
    ]
    assert all(new in query for query in changed)
    assert len(changed) == 6


@pytest.mark.parametrize(("alert", "panel"), [(SOON, "Renew soon"), (CRITICAL, "Renew now")])
def test_descriptions_contain_the_thresholds_of_the_alert(alert: str, panel: str) -> None:
    dashboards = dashboards_with(alert, lifetime_ratio="0.5", days="33")
    expected = "less than 50 % of the lifetime and 33 days left"
    assert expected in find_panel(dashboards["certificates.json"], panel)["description"]
    assert expected in find_panel(dashboards["server.json"], "Certificates")["description"]


def test_availability_is_green_while_the_alert_tolerates_the_failures() -> None:
    panel = find_panel(dashboards_with(AVAILABILITY, failure_ratio="0.02")["server.json"], "Availability")
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "orange", "value": 0.8},
        {"color": "green", "value": 0.98},
    ]
    assert "up to 2 % of the probes" in panel["description"]


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
