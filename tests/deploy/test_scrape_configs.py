"""Every scrape configuration that is shipped or documented gives the series the labels that the rules select."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.report import Report
from tests.deploy.rules import ALERTS, PROMETHEUS, ROOT, RUNBOOKS, content
from tests.sample_reports import delegated_by_well_known, faults_in_deep_look, two_families, watched_server
from tests.scrapes import board_of, samples_of, text_of

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
FILES = sorted(PROMETHEUS.glob("*.yml"))
VALUES = ROOT / "deploy/helm/matrix-federation-exporter/values.yaml"
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
PORT = ":10448"
SERVERS = 10_000
SAMPLES = 75 * SERVERS + 1_000  # of the servers and of the exporter itself

Job = dict[str, Any]


def documents(file: Path) -> list[str]:
    return YAML_BLOCK.findall(file.read_text()) if file.suffix == ".md" else [file.read_text()]


def jobs(file: Path) -> list[Job]:
    """Return the jobs in a file that scrape the exporter."""
    loaded = [yaml.safe_load(document) for document in documents(file) if "scrape_configs:" in document]
    return [job for each in loaded for job in each["scrape_configs"] if address(job).endswith(PORT)]


def address(job: Job) -> str:
    """Return the address that Prometheus connects to; one that it looks up is taken to be an exporter's."""
    targets = [target for group in job.get("static_configs", ()) for target in group["targets"]]
    return str(constants(job).get("__address__", *targets[:1] or [PORT]))


def constants(job: Job) -> dict[str, str]:
    """Return the labels of a target that relabelling sets to a constant."""
    return {
        rule["target_label"]: rule["replacement"] for rule in job.get("relabel_configs", ()) if "replacement" in rule
    }


def sources(job: Job) -> dict[str, list[str]]:
    """Return the labels of a target that relabelling copies from others."""
    return {
        rule["target_label"]: rule["source_labels"]
        for rule in job.get("relabel_configs", ())
        if "source_labels" in rule and "action" not in rule
    }


def selected_jobs() -> set[str]:
    """Return the names of the jobs that the rules select."""
    return {job for rule in ALERTS.values() for job in re.findall(r'job="([^"]+)"', rule["expr"])}


WITH_JOBS = [file for file in (*PAGES, *FILES) if jobs(file)]


@pytest.mark.parametrize("file", WITH_JOBS, ids=lambda file: str(file.relative_to(ROOT)))
def test_rules_select_the_job(file: Path) -> None:
    """Its name, or the label that replaces it."""
    assert {constants(job).get("job", job["job_name"]) for job in jobs(file)} == selected_jobs()


def test_every_example_is_found() -> None:
    names = {file.relative_to(ROOT).as_posix() for file in WITH_JOBS}
    assert names == {
        "README.md",
        "deploy/prometheus/prometheus-probe.yml",
        "deploy/prometheus/prometheus.yml",
        "docs/api.md",
        "docs/scaling.md",
        "docs/tutorials/own-server.md",
        "docs/vantage-points.md",
    }


def is_probe(job: Job) -> bool:
    return job.get("metrics_path") == "/probe"


@pytest.mark.parametrize(
    "file", [file for file in WITH_JOBS if any(map(is_probe, jobs(file)))], ids=lambda file: file.name
)
def test_scrapes_of_probe_are_told_from_those_of_metrics(file: Path) -> None:
    """By the label server_name. The instance is the exporter, as in all other series. Beside them, the exporter's own
    metrics are scraped, without those of the servers.
    """
    probe, own = jobs(file)
    assert is_probe(probe)
    assert probe["honor_labels"] is True
    assert sources(probe) == {"__param_target": ["__address__"], "server_name": ["__address__"]}
    assert constants(probe).keys() == {"__address__", "job"}
    assert own["metric_relabel_configs"] == [{"source_labels": ["server_name"], "regex": ".+", "action": "drop"}]


# ---------------------------------------------------------------- the limit of samples


def limits() -> Iterator[int]:
    """Yield the limit wherever it is shipped."""
    yield from (job["sample_limit"] for job in content(PROMETHEUS / "prometheus.yml")["scrape_configs"])
    yield content(VALUES)["serviceMonitor"]["sampleLimit"]
    expression = ALERTS["MatrixFederationExporterSampleLimitNear"]["expr"]
    yield from map(int, re.findall(r"> 0\.8 \* (\d+)", expression))


def test_the_limit_of_samples_is_the_same_everywhere() -> None:
    """The alert fires before the limit is reached."""
    assert list(limits()) == [SAMPLES] * 3
    for name in ("ExporterDown", "ExporterSampleLimitNear"):
        assert re.search(
            r"75\s+(samples )?for\s+each\s+server\s+and\s+1,000", (RUNBOOKS / f"MatrixFederation{name}.md").read_text()
        )


def test_the_alert_is_silent_with_as_many_servers_as_the_limit_is_for() -> None:
    """With the series that docs/scaling.md budgets for a server. It gives the same formula for the limit."""
    budget = (ROOT / "docs/scaling.md").read_text()
    (series,) = re.findall(r"^ +series += servers \S (\d+)", budget, re.MULTILINE)
    assert re.search(r"sample_limit += servers \S 75 \+ 1,000 ", budget)
    assert int(series) * SERVERS + 1_000 < 0.8 * SAMPLES


@pytest.mark.parametrize(
    "report",
    [delegated_by_well_known(), two_families(), faults_in_deep_look()],
    ids=["healthy", "two families", "faults"],
)
def test_the_limit_allows_enough_samples_of_a_server(report: Report) -> None:
    assert 25 < len(samples_of(text_of(board_of([watched_server(report.server_name.text)], report)))) <= 75


def test_the_limit_allows_enough_samples_of_the_exporter() -> None:
    """With dozens of server lists."""
    exporter_metrics = ExporterMetrics()
    for number in range(64):
        exporter_metrics.add_list(f"/etc/servers/{number}.json")
    assert 200 < sum(len(metric.samples) for metric in exporter_metrics.registry.collect()) <= 1000
