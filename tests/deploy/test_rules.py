"""The shipped rules: conventions, which promtool does not know, and promtool's own judgement."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.metrics.exporter_metrics import NAMESPACE, ExporterMetrics
from exporter.metrics.families import FAMILIES, PREFIX, SUFFIXES
from tests.deploy.rules import (
    ALERTMANAGER,
    ALERTS,
    PROMETHEUS,
    RECORDS,
    RULE_FILES,
    RULE_TESTS,
    RULES,
    RUNBOOKS,
    content,
)
from tests.programs import program

PLACE_OF_RUNBOOKS = "https://github.com/matrix-federation-exporter/matrix-federation-exporter/blob/main/docs/runbooks/"
METRIC = re.compile(rf"(?<![\w:]){PREFIX}\w+")
RECORD = re.compile(r"\w+:\w+:\w+")
COMPARISON = re.compile(r"[<>]=?|[=!]=|\babsent\(")
WITHOUT_A_REASON = {
    "AvailabilityLow": "speaks of a month",
    "CertificateExpiringSoon": "nothing fails yet",
    "CertificateExpiryCritical": "nothing fails yet",
    "DelegationChanged": "nothing fails",
    "DelegationUnexpected": "nothing fails",
    "ExporterAbsent": "speaks of no server",
    "ExporterConfigReloadFailed": "speaks of no server",
    "ExporterConnectivityLost": "speaks of no server",
    "ExporterDown": "speaks of no server",
    "ExporterNoServers": "speaks of no server",
    "ExporterOverloaded": "speaks of no server",
    "ExporterSlow": "speaks of no server",
    "ProbeStale": "the latest result is too old to tell",
    "Slow": "has stages, but no reason",
    "Warning": "nothing fails",
}
"""The alerts that have no stage and reason to tell, and why."""


def exported() -> Iterator[str]:
    """Every name that a sample on `/metrics` may bear."""
    yield from (family.full_name for family in FAMILIES)
    for metric in ExporterMetrics().registry.collect():
        if metric.name.startswith(NAMESPACE):
            yield metric.name + SUFFIXES.get(metric.type, "")
            yield from (sample.name for sample in metric.samples)


def test_every_metric_exists() -> None:
    """In expressions and in what annotations ask for; and every record is made before it is used."""
    texts = [rule["expr"] + " ".join(rule.get("annotations", {}).values()) for rule in RULES]
    used = {name for text in texts for name in METRIC.findall(text)}
    assert used - set(exported()) == set()
    recorded = {name for text in texts for name in RECORD.findall(text)}
    assert recorded
    assert recorded - RECORDS.keys() == set()
    assert len(used) > 15


def test_every_rule_chooses_the_job() -> None:
    """Each selector of it: metrics of the same name may come from elsewhere."""
    assert RULES
    for rule in RULES:
        without_job = re.sub(r'(\w|:)+\{job="matrix-federation"[^}]*\}', "", rule["expr"])
        assert METRIC.findall(without_job) == []
        assert RECORD.findall(without_job) == []


def test_names_are_unique() -> None:
    """Two alerts of one name would be one to whoever silences it."""
    assert len(ALERTS) + len(RECORDS) == len(RULES)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_keeps_the_conventions(name: str) -> None:
    """Those of the monitoring mixins, and a comparison, without which an alert fires for every series."""
    rule = ALERTS[name]
    summary = rule["annotations"]["summary"]
    assert name.startswith("MatrixFederation")
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.fullmatch(r"[A-Z][^{}]*\.", summary)
    assert rule["annotations"]["description"].endswith(".")
    assert COMPARISON.search(rule["expr"])
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


@pytest.mark.parametrize("name", ALERTS)
def test_alert_tells_stage_and_reason(name: str) -> None:
    """Where something fails. They are no labels of the alert: it would begin anew with every other reason."""
    description = ALERTS[name]["annotations"]["description"]
    told = all(word in description for word in ("matrix_federation_failure_info", ".probe_stage", ".reason"))
    assert told is (name.removeprefix("MatrixFederation") not in WITHOUT_A_REASON)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_a_runbook(name: str) -> None:
    """Of its own name, where the annotation says, with all that one asks at night."""
    page = f"{name}.md"
    assert ALERTS[name]["annotations"]["runbook_url"] == PLACE_OF_RUNBOOKS + page
    text = (RUNBOOKS / page).read_text()
    assert re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE) == [
        name,
        "Meaning",
        "Impact",
        "Diagnosis",
        "Remedy",
    ]


LINK = r"\]\(([^)]+)\)"


def test_every_runbook_has_an_alert() -> None:
    """And what it names exists: metrics, records, and the pages that it leads to."""
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == ALERTS.keys()
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text()
        assert set(METRIC.findall(text)) - set(exported()) == set()
        assert set(RECORD.findall(text)) - RECORDS.keys() == set()
        for link in re.findall(LINK, text):
            assert (RUNBOOKS / link).is_file(), f"{page.name}: {link}"
    assert any(re.search(LINK, page.read_text()) for page in RUNBOOKS.glob("*.md"))


def outcomes() -> Iterator[tuple[str, bool]]:
    """Of the unit tests: for every look at an alert its name, and whether it is to fire."""
    for file in RULE_TESTS:
        for case in content(file)["tests"]:
            for look in case["alert_rule_test"]:
                yield look["alertname"], bool(look["exp_alerts"])


@pytest.mark.parametrize("fires", [True, False], ids=["firing", "silent"])
def test_every_alert_has_a_case(fires: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """One at least in which it fires, and one in which it does not."""
    assert {name for name, fired in outcomes() if fired is fires} == ALERTS.keys()


# ---------------------------------------------------------------- judged by the programs that read it


def judged(command: str, *arguments: str | Path) -> tuple[int, str]:
    """Exit status and complaints."""
    judge = subprocess.run([program(command), *arguments], capture_output=True, text=True, check=False)
    return judge.returncode, judge.stderr


@pytest.mark.system("promtool")
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-probe.yml"])
def test_promtool_accepts_the_configuration(name: str) -> None:
    """With the rule files that it names."""
    assert judged("promtool", "check", "config", PROMETHEUS / name) == (0, "")


@pytest.mark.system("promtool")
def test_promtool_accepts_the_rules() -> None:
    """Its linter too."""
    assert judged("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES) == (0, "")


@pytest.mark.system("promtool")
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_pass_their_unit_tests(file: Path) -> None:
    assert judged("promtool", "test", "rules", file) == (0, "")


@pytest.mark.system("amtool")
def test_amtool_accepts_the_configuration() -> None:
    assert judged("amtool", "check-config", ALERTMANAGER) == (0, "")


@pytest.mark.system("amtool")
@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "tickets"), ("info", "notes")])
def test_severity_chooses_the_receiver(severity: str, receiver: str) -> None:
    """As the routing tree of Alertmanager itself says."""
    command = [program("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receiver
