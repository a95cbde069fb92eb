"""Writes the pages of docs/ that are generated from the code: `make docs`."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from prometheus_client import Metric

from docs import commands, comparison, config_schema, paths, references, remedies
from exporter.demo.servers import LabServer
from exporter.judging.warnings import WarningName
from exporter.metrics.exporter_metrics import NAMESPACE, ExporterMetrics
from exporter.metrics.families import FAMILIES, SUFFIXES, Family
from exporter.metrics.rules import rendering as rules
from exporter.metrics.rules import values as rule_values
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.web.api import openapi
from tests.lab.catalogue import WITH_BOTH_WAYS

BUCKET_BOUND = "le"  # the label of the buckets of a histogram

METRICS_PAGE = """\
# Metrics

This page is generated from the code by `make docs`.

## Metrics of watched servers

Every series has the label `server_name`, as Synapse's own metrics do, so that you can join them, and the labels that
the server has from its group and its list. A server without such labels has no others than those below.

The series of a server come only from its latest report:

- A stage that was not reached has no sample, and a server that is no longer watched has no series.
- No sample has a timestamp.
- When the latest result is older than both three probe intervals and five minutes, only the series marked ● remain.
- Before the first result there is only `matrix_federation_probe_interval_seconds`.
- A probe that fails while `matrix_federation_exporter_connectivity_up` is 0 only changes
  `matrix_federation_probes_total`. The other series keep describing the latest probe before the outage.

If a server has several endpoints, the certificate series describe the leaf certificate that expires first. There is one
for each kind of connection: `well_known` is https to the server name itself, `federation` is the connection to an
endpoint. Expired and invalid certificates have these series too. Once addresses were looked up, `endpoints` and
`endpoints_healthy` have a sample for each IP family, so 0 means that there are none; a family to which the exporter's
own machine has no route has no sample. Label values that a remote server chose are cut to 64 printable characters.

| metric | type | labels in addition to `server_name` | meaning |
|---|---|---|---|
{families}

## Metrics of the exporter

| metric | type | labels | meaning |
|---|---|---|---|
{exporter_metrics}

There are also the usual `process_*` and `python_*` series of a Python program.

## Formats

`/metrics?name[]=NAME&name[]=…` returns only these metrics, by their full names, as prometheus-client does. A name that
does not exist is not an error. `metrics.disabled` in the configuration switches metrics of the servers off, on
`/metrics` and `/probe`. [scaling.md](scaling.md) shows what that saves, and `check-config` names the rules that need
them.

`/metrics` serves the Prometheus text format 0.0.4 or OpenMetrics 1.0, depending on the `Accept` header, and compresses
it with gzip if `Accept-Encoding` allows it. In the text format, a metric of type `info` is a gauge that is always 1.
"""


def metrics_page() -> str:
    return METRICS_PAGE.format(
        families="\n".join(_family_row(family) for family in FAMILIES),
        exporter_metrics="\n".join(_exporter_metric_rows(ExporterMetrics())),
    )


def _family_row(family: Family) -> str:
    mark = " ●" if family.kept_when_stale else ""
    return _metric_row(f"`{family.full_name}`{mark}", family.metric_type, family.labels, family.help)


def _exporter_metric_rows(exporter_metrics: ExporterMetrics) -> Iterator[str]:
    exporter_metrics.add_list("one list, so that there is a sample with its label")
    for metric in exporter_metrics.registry.collect():
        if metric.name.startswith(NAMESPACE):
            full_name = metric.name + SUFFIXES.get(metric.type, "")
            yield _metric_row(f"`{full_name}`", metric.type, _labels(metric), metric.documentation)


def _labels(metric: Metric) -> tuple[str, ...]:
    names = {name for sample in metric.samples for name in sample.labels}
    return tuple(sorted(names - {BUCKET_BOUND}))


def _metric_row(name: str, metric_type: str, label_names: tuple[str, ...], meaning: str) -> str:
    return _row(name, metric_type, ", ".join(f"`{label}`" for label in label_names), meaning)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


# ---------------------------------------------------------------- reasons and warnings

REASONS_PAGE = """\
# Reasons

This page is generated from the code by `make docs`.

The reason says why a stage failed. It is in the label `reason` of `matrix_federation_failure_info`, in the report and
in the log. The list is closed. `check` and the report show the remedy; in some stages a reason has a remedy of its own.

The examples are servers of the test federation, and the stages are those in which these servers cause the reason; it
may occur in others too. The tests cause every reason over real sockets. The stages `proxy` and `notary` belong to the
deep look, which is made more rarely than a probe. The stage `outbound` is the [other direction](outbound.md), which is
off by default, and `tunnel` takes the place of `tcp` [through a proxy](proxy.md).

| reason | stages | for example | remedy |
|---|---|---|---|
{rows}
"""

WARNINGS_PAGE = """\
# Warnings

This page is generated from the code by `make docs`.

A warning says what works today, but will cause trouble. It is in the label `warning` of
`matrix_federation_warning_info` and in the report. The list is closed.

The examples are servers of the test federation. The tests cause every warning over real sockets.

| warning | meaning | for example | remedy |
|---|---|---|---|
{rows}
"""
GENERATED_RULES = """\
# Generated by `make docs`. To change values, such as thresholds, write rules of your own:
# matrix-federation-exporter rules --values values.yaml --output rules
"""
WITHOUT_SERVER = {
    Reason.CONNECT_PROHIBITED: ("`well_known`, `tcp`", "a firewall that rejects packets (REJECT, not DROP)"),
    Reason.TUNNEL_FAILED: ("`tunnel`", "a proxy that answers with status 502 or 503"),
    Reason.TUNNEL_TIMEOUT: ("`well_known`, `tunnel`", "a proxy that answers with status 504, or not at all"),
    Reason.PROXY_UNREACHABLE: ("`well_known`, `tunnel`", "a proxy that is down"),
    Reason.PROXY_AUTHENTICATION: ("`well_known`, `tunnel`", "a proxy that answers with status 407"),
    Reason.PROXY_FORBIDDEN: ("`well_known`, `tunnel`", "a proxy that answers with status 403"),
    Reason.PROXY_PROTOCOL: ("`well_known`, `tunnel`", "an SSH server in the place of the proxy"),
    Reason.INTERNAL_ERROR: ("any", "an unforeseen error"),
}
"""The stages and the example of reasons that no server of the test federation causes."""


def reasons_page() -> str:
    return REASONS_PAGE.format(rows="\n".join(_reason_row(reason) for reason in Reason))


def _reason_row(reason: Reason) -> str:
    causes = [(stage, server) for server in WITH_BOTH_WAYS for stage, expected in server.expected if expected is reason]
    if reason in WITHOUT_SERVER:
        return _row(f"`{reason}`", *WITHOUT_SERVER[reason], remedies.remedy(reason))
    stages = ", ".join(f"`{stage}`" for stage in Stage if stage in dict(causes))
    example = min((server for _, server in causes), key=_problem_count)
    return _row(f"`{reason}`", stages, example.shows, remedies.remedy(reason))


def warnings_page() -> str:
    return WARNINGS_PAGE.format(rows="\n".join(_warning_row(warning) for warning in WarningName))


def _warning_row(warning: WarningName) -> str:
    *_, example = (server for server in WITH_BOTH_WAYS if warning in server.warnings)  # the last one is made for it
    return _row(f"`{warning}`", f"{warning.meaning}.", example.shows, warning.remedy)


def _problem_count(server: LabServer) -> int:
    return len(server.expected)


# ---------------------------------------------------------------- all pages


def _offline(page: Callable[[], str]) -> str:
    """Return a page as the exporter serves it."""
    return references.render(page())


def _shipped_rules(name: str) -> str:
    """Return a file of rules as it is for those who change no value."""
    return GENERATED_RULES + rules.render(rule_values.defaults())[name]


def _text(text: str) -> str:
    return text


def _chart_schema() -> str:
    """Return the schema of the chart's values, in which only the part about the rules is generated."""
    schema = json.loads((FOLDER / _CHART / "values.schema.json").read_text())
    schema["properties"]["prometheusRule"]["properties"]["values"] = rule_values.schema()
    return json.dumps(schema, indent=2) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "reasons.md": reasons_page,
    "warnings.md": warnings_page,
    "configuration.md": config_schema.page,
    "paths.md": paths.page,
    "config.schema.json": config_schema.schema,
    "openapi.json": lambda: json.dumps(openapi.document(), indent=2) + "\n",
    **{f"runbooks/{page.name}": partial(remedies.runbook, page) for page in remedies.pages()},
}
_OFFLINE = "../exporter/web/pages/offline"
PAGES |= {
    f"{_OFFLINE}/{name.removesuffix('.md')}.html": partial(_offline, page)
    for name, page in PAGES.items()
    if name in ("reasons.md", "warnings.md") or name.startswith("runbooks/")
}
_PROMETHEUS, _CHART = "../deploy/prometheus", "../deploy/helm/matrix-federation-exporter"
PAGES |= {f"{_PROMETHEUS}/rules/{name}": partial(_shipped_rules, name) for name in rules.templates()}
PAGES |= {f"{_CHART}/files/rules/{name}": partial(_text, text) for name, text in rules.templates().items()}
PAGES |= {
    f"{_CHART}/files/rules/values.yaml": rule_values.DEFAULTS_FILE.read_text,
    f"{_CHART}/values.schema.json": _chart_schema,
}
PAGES |= commands.FILES
FOLDER = Path(__file__).parent

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    comparison.update()
