"""The rules with values of the operator: what a file of values changes, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import cli
from exporter.config import ConfigError
from exporter.metrics.rules import rendering
from exporter.metrics.rules.values import defaults, load
from tests.deploy.rules import ALERTS, RULE_FILES, RULES

SLOW = "MatrixFederationSlow"


def alerts_with(tmp_path: Path, values: str) -> dict[str, Any]:
    """Return the alerts of the rules that the command writes for a file of values."""
    file, output = tmp_path / "values.yaml", tmp_path / "new" / "rules"
    file.write_text(values)
    assert cli.main(["rules", "--values", str(file), "--output", str(output)]) == 0
    return alerts_in(output)


def alerts_in(folder: Path) -> dict[str, Any]:
    groups = [group for file in sorted(folder.iterdir()) for group in yaml.safe_load(file.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] or () if "alert" in rule}


def test_without_values_the_command_writes_the_shipped_rules(tmp_path: Path) -> None:
    assert cli.main(["rules", "--output", str(tmp_path)]) == 0
    written = {file.name: yaml.safe_load(file.read_text()) for file in tmp_path.iterdir()}
    assert written == {file.name: yaml.safe_load(file.read_text()) for file in RULE_FILES}


def test_what_needs_a_metric_is_found_in_the_shipped_rules() -> None:
    """In expressions and in the texts of alerts."""
    for metric in ("matrix_federation_peer_success", "matrix_federation_srv_records", "matrix_federation_failure_info"):
        expected = {rule.get("alert", rule.get("record")) for rule in RULES if metric in str(rule)}
        assert set(rendering.rules_that_need(metric)) == expected


def test_the_defaults_can_be_printed_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "--defaults"]) == 0
    assert alerts_with(tmp_path, capsys.readouterr().out) == ALERTS


def test_values_change_severity_threshold_and_for(tmp_path: Path) -> None:
    """Of one alert, and of nothing else."""
    alerts = alerts_with(tmp_path, f"alerts: {{{SLOW}: {{severity: page, for: 1h30m, seconds: 2.5}}}}")
    changed = alerts.pop(SLOW)
    assert (changed["labels"], changed["for"], changed["expr"]) == (
        {"severity": "page"},
        "1h30m",
        ALERTS[SLOW]["expr"].replace("> 10", "> 2.5"),
    )
    assert alerts == {name: alert for name, alert in ALERTS.items() if name != SLOW}


def test_an_alert_can_be_disabled(tmp_path: Path) -> None:
    """Even the first one or all of a file."""
    off = ["MatrixFederationServerDown", "MatrixFederationPeersFailing", SLOW]
    alerts = alerts_with(tmp_path, f"alerts: {{{', '.join(f'{name}: {{enabled: false}}' for name in off)}}}")
    assert alerts == {name: alert for name, alert in ALERTS.items() if name not in off}


def test_the_values_of_all_rules(tmp_path: Path) -> None:
    alerts = alerts_with(
        tmp_path,
        "job: federation\nrunbooks: https://exporter.example.org/runbooks/\nexporter_labels: [instance, replica]\n"
        "exporter_url: https://exporter.example.org\nmost_ratio: 0.5\n",
    )
    texts = str(alerts)
    assert alerts[SLOW]["annotations"]["runbook_url"] == f"https://exporter.example.org/runbooks/{SLOW}.md"
    assert "min without (vantage, instance, replica) (" in alerts[SLOW]["expr"]
    assert alerts["MatrixFederationMostServersDown"]["expr"].endswith('{job="federation"} > 0.5')
    assert "https://exporter.example.org/?state=none" in texts
    assert 'job="matrix-federation"' not in texts


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("jobs: x", "1: jobs: unknown key `jobs`, did you mean `job`?"),
        ("job: x\nalerts:\n  MatrixFederationSlo: {}", "3: alerts.MatrixFederationSlo: unknown key"),
        (
            f"alerts:\n  {SLOW}:\n    second: 3",
            f"3: alerts.{SLOW}.second: unknown key `second`, did you mean `seconds`?",
        ),
        (f"alerts:\n  {SLOW}:\n    enable: false", f"3: alerts.{SLOW}.enable: unknown key `enable`, did you mean `ena"),
        (f"alerts: {{{SLOW}: {{for: 10}}}}", "expected a duration such as 10m, found the number 10"),
        (f"alerts: {{{SLOW}: {{seconds: 10s}}}}", "expected a number such as 0.2 or 21, found `10s`"),
        (f"alerts: {{{SLOW}: {{seconds: -1}}}}", "expected a number such as 0.2 or 21, found `-1`"),
        (f"alerts: {{{SLOW}: {{enabled: maybe}}}}", "expected true or false, found `maybe`"),
        (f"alerts: {{{SLOW}: {{severity: 'page me'}}}}", "expected a word such as critical, warning or info"),
        (f"alerts: {{{SLOW}: off}}", "expected a mapping"),
        ("alerts: []", "alerts: expected a mapping, found an empty list"),
        ("- job", "expected a mapping, found a list"),
        ("job: 'a\"} or vector(1) #'", "expected the name of a scrape job, without spaces and quotes"),
        ("runbooks: exporter.example.org", "expected a URL such as https://exporter.example.org"),
        ("exporter_labels: []", "expected a list of labels, found an empty list"),
        ("exporter_labels: ['in-stance']", "exporter_labels[0]: expected the name of a label, found `in-stance`"),
        ("job: [", "invalid YAML"),
    ],
)
def test_a_wrong_value_is_refused(values: str, complaint: str, tmp_path: Path) -> None:
    """With its line, and nothing is written."""
    file = tmp_path / "values.yaml"
    file.write_text(values)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(f"{file}:")
    assert cli.main(["rules", "--values", str(file), "--output", str(tmp_path / "rules")]) == 2
    assert not (tmp_path / "rules").exists()


def test_every_complaint_is_listed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(f"jobs: x\nmost_ratio: many\nalerts: {{{SLOW}: {{for: soon}}}}\n")
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert len(refused.value.complaints) == 3


def test_a_missing_file_and_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["rules", "--values", str(tmp_path / "none"), "--output", str(tmp_path)]) == 2
    assert "expected a file, found none with this name" in capsys.readouterr().err
    assert cli.main(["rules", "--output", str(tmp_path / "file")]) == 2
    assert f"cannot write to {tmp_path / 'file'}: " in capsys.readouterr().err


def test_every_alert_has_values_and_every_value_is_used() -> None:
    """A value without an effect would mislead, and so would a placeholder that remains."""
    known = defaults()
    templates = "\n\n".join(rendering.templates().values())
    assert known.alerts.keys() == ALERTS.keys()
    for alert, values in known.alerts.items():
        (part,) = (part for part in templates.split("\n\n") if f"- alert: {alert}\n" in part)
        assert [key for key in values if f"[[{key}]]" not in part] == []
    assert [key for key in known.common if f"[[{key}]]" not in templates] == []
    assert "[[" not in "".join(rendering.render(known).values())
