"""The shipped rules: conventions that promtool does not check, and the checks of promtool and amtool."""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from exporter.metrics.exporter_metrics import NAMESPACE, ExporterMetrics
from exporter.metrics.families import FAMILIES, PREFIX, SUFFIXES
from exporter.model import durations
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

RUNBOOK_TEMPLATE = ALERTMANAGER.with_name("runbooks.tmpl")
RUNBOOKS_URL = "https://github.com/matrix-federation-exporter/matrix-federation-exporter/blob/main/docs/runbooks/"
METRIC = re.compile(rf"(?<![\w:]){PREFIX}\w+")
RECORD = re.compile(r"\w+:\w+:\w+")
PERIOD = re.compile(r"\bthe last (?:(\d+) )?(minute|hour|day)s?\b")
COMPARISON = re.compile(r"[<>]=?|[=!]=|\babsent\(")
NO_REASON = {
    "AvailabilityLow": "covers a month",
    "CertificateExpiringSoon": "nothing fails yet",
    "CertificateExpiryCritical": "nothing fails yet",
    "CertificateIssuerChanged": "nothing fails",
    "DelegationChanged": "nothing fails",
    "ExporterAbsent": "concerns the exporter",
    "ExporterConfigReloadFailed": "concerns the exporter",
    "ExporterConnectivityLost": "concerns the exporter",
    "ExporterDown": "concerns the exporter",
    "ExporterListFailing": "concerns the exporter",
    "ExporterListRejectedServers": "concerns the exporter",
    "ExporterNoServers": "concerns the exporter",
    "ExporterOutboundNotReady": "concerns the exporter",
    "ExporterOverloaded": "concerns the exporter",
    "ExporterProxyFailing": "concerns the exporter",
    "ExporterSampleLimitNear": "concerns the exporter",
    "ExporterSlow": "concerns the exporter",
    "ExporterStorageFailing": "concerns the exporter",
    "OutboundOneFamily": "no stage fails",
    "ProbeFailed": "there is no result",
    "ProbeStale": "the latest result is too old",
    "SigningKeyChanged": "nothing fails",
    "Slow": "slow stages have no reason",
    "SoftwareChanged": "nothing fails",
    "Unexpected": "nothing fails",
    "Warning": "nothing fails",
}
"""Alerts whose description contains no stage and reason, and why."""


def exported_names() -> Iterator[str]:
    """Yield the name of every series that `/metrics` may contain."""
    yield from (family.full_name for family in FAMILIES)
    for metric in ExporterMetrics().registry.collect():
        if metric.name.startswith(NAMESPACE):
            yield metric.name + SUFFIXES.get(metric.type, "")
            yield from (sample.name for sample in metric.samples)


def test_every_metric_exists() -> None:
    """In expressions and in the queries of annotations. Every recorded series has a recording rule."""
    texts = [rule["expr"] + " ".join(rule.get("annotations", {}).values()) for rule in RULES]
    used = {name for text in texts for name in METRIC.findall(text)}
    assert used - set(exported_names()) == set()
    recorded = {name for text in texts for name in RECORD.findall(text)}
    assert recorded
    assert recorded - RECORDS.keys() == set()
    assert len(used) > 15


def test_every_selector_matches_the_job() -> None:
    """Other jobs may have metrics of the same name."""
    assert RULES
    for rule in RULES:
        without_job = re.sub(r'(\w|:)+\{job="matrix-federation"[^}]*\}', "", rule["expr"])
        assert METRIC.findall(without_job) == []
        assert RECORD.findall(without_job) == []


def test_names_are_unique() -> None:
    """A silence or an inhibition by name would otherwise affect two alerts."""
    assert len(ALERTS) + len(RECORDS) == len(RULES)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_follows_the_conventions(name: str) -> None:
    """The conventions of monitoring mixins. An alert without a comparison would fire for every series."""
    rule = ALERTS[name]
    summary = rule["annotations"]["summary"]
    assert name.startswith("MatrixFederation")
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.fullmatch(r"[A-Z][^{}]*\.", summary)
    assert rule["annotations"]["description"].endswith(".")
    assert COMPARISON.search(rule["expr"])
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


def static_texts(name: str) -> str:
    """Return the alert's annotations without templates, and the meaning that its runbook states."""
    annotations = ALERTS[name]["annotations"]
    description = re.sub(r"{{.*?}}", "", annotations["description"], flags=re.DOTALL)
    meaning = (RUNBOOKS / f"{name}.md").read_text().partition("## Meaning")[2].partition("## Impact")[0]
    return "\n".join([annotations["summary"], description, meaning])


@pytest.mark.parametrize("name", ALERTS)
def test_texts_do_not_repeat_thresholds(name: str) -> None:
    """A number would become wrong when somebody changes the expression. Periods must be those of the expression."""
    texts = static_texts(name)
    for number, unit in PERIOD.findall(texts):
        assert f"{number or 1}{unit[0]}" in ALERTS[name]["expr"]
    assert re.findall(r"\d+", re.sub(r"IPv[46]|port 8448|https?:\S+", "", PERIOD.sub("", texts))) == []


@pytest.mark.parametrize("name", ALERTS)
def test_description_contains_stage_and_reason(name: str) -> None:
    """They are not labels of the alert, because a new reason would then be a new alert."""
    description = ALERTS[name]["annotations"]["description"]
    contained = all(word in description for word in ("matrix_federation_failure_info", ".probe_stage", ".reason"))
    assert contained is (name.removeprefix("MatrixFederation") not in NO_REASON)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_a_runbook(name: str) -> None:
    """The annotation links to it, and it has all sections."""
    page = f"{name}.md"
    assert ALERTS[name]["annotations"]["runbook_url"] == RUNBOOKS_URL + page
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
    """The metrics, recorded series and pages that a runbook mentions exist."""
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == ALERTS.keys()
    for page in RUNBOOKS.glob("*.md"):
        text = page.read_text()
        assert set(METRIC.findall(text)) - set(exported_names()) == set()
        assert set(RECORD.findall(text)) - RECORDS.keys() == set()
        for link in re.findall(LINK, text):
            assert (RUNBOOKS / link).is_file(), f"{page.name}: {link}"
    assert any(re.search(LINK, page.read_text()) for page in RUNBOOKS.glob("*.md"))


def expected_outcomes() -> Iterator[tuple[str, bool]]:
    """Yield the alert of every unit test, and whether it is expected to fire."""
    for file in RULE_TESTS:
        for case in content(file)["tests"]:
            for test in case.get("alert_rule_test", ()):
                yield test["alertname"], bool(test["exp_alerts"])


@pytest.mark.parametrize("fires", [True, False], ids=["firing", "silent"])
def test_every_alert_has_a_case(fires: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """At least one in which it fires, and one in which it does not."""
    assert {name for name, fired in expected_outcomes() if fired is fires} == ALERTS.keys()


# ---------------------------------------------------------------- inhibition


def alerts_of(matchers: list[str]) -> list[str]:
    """Return the alerts that an inhibition is about."""
    (pattern,) = (found[1] for matcher in matchers if (found := re.fullmatch(r'alertname=~?"(.*)"', matcher)))
    return [name for name in ALERTS if re.fullmatch(pattern, name)]


def inhibitions() -> Iterator[tuple[str, str]]:
    """Yield each alert that inhibits another one, and that one."""
    for rule in content(ALERTMANAGER)["inhibit_rules"]:
        yield from product(alerts_of(rule["source_matchers"]), alerts_of(rule["target_matchers"]))


def keeps_firing(alert: str) -> float:
    written = ALERTS[alert].get("keep_firing_for")
    return durations.parse(written) if written else 0


@pytest.mark.parametrize(("source", "target"), tuple(inhibitions()))
def test_an_inhibited_alert_does_not_outlast_its_cause(source: str, target: str) -> None:
    """Otherwise people would be told of it when the cause is gone."""
    assert keeps_firing(source) >= keeps_firing(target)


# ---------------------------------------------------------------- promtool and amtool


def run(command: str, *arguments: str | Path) -> tuple[int, str]:
    """Return the exit status and the error output."""
    result = subprocess.run([program(command), *arguments], capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


@pytest.mark.system("promtool")
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-probe.yml"])
def test_promtool_accepts_the_configuration(name: str) -> None:
    """Including the rule files that it loads."""
    assert run("promtool", "check", "config", PROMETHEUS / name) == (0, "")


@pytest.mark.system("promtool")
def test_promtool_accepts_the_rules() -> None:
    """Including its linter."""
    assert run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES) == (0, "")


@pytest.mark.system("promtool")
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_pass_their_unit_tests(file: Path) -> None:
    assert run("promtool", "test", "rules", file) == (0, "")


@pytest.mark.system("amtool")
def test_amtool_accepts_the_configuration() -> None:
    assert run("amtool", "check-config", ALERTMANAGER) == (0, "")


@pytest.mark.system("amtool")
@pytest.mark.parametrize("base", [RUNBOOKS_URL, "https://exporter.example.org/runbooks/"])
def test_a_message_links_to_the_runbook(base: str, tmp_path: Path) -> None:
    """The base of the links is one line of the template. By default, it is that of the rules."""
    template = tmp_path / RUNBOOK_TEMPLATE.name
    template.write_text(RUNBOOK_TEMPLATE.read_text().replace(f"}}}}{RUNBOOKS_URL}{{{{", f"}}}}{base}{{{{"))
    text = '{{ range .Alerts }}{{ template "matrix_federation.runbook_url" . }}{{ end }}'
    alert = {"status": "firing", "labels": {"alertname": "MatrixFederationSlow"}, "annotations": {}}
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"receiver": "pager", "status": "firing", "alerts": [alert]}))
    arguments = [f"--template.glob={template}", f"--template.text={text}", f"--template.data={data}"]
    command = [program("amtool"), "template", "render", *arguments]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert rendered.strip() == f"{base}MatrixFederationSlow.md"


@pytest.mark.system("amtool")
@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "tickets"), ("info", "notes")])
def test_severity_determines_the_receiver(severity: str, receiver: str) -> None:
    """According to Alertmanager's own routing."""
    command = [program("amtool"), "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receiver
