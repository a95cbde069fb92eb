"""Writes the pages of docs/ that say what the code says: `make docs`."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from prometheus_client import Metric

from docs import remedies
from exporter.config.schema import schema
from exporter.demo.servers import LabServer
from exporter.judging.warnings import WarningName
from exporter.metrics.exporter_metrics import NAMESPACE, ExporterMetrics
from exporter.metrics.families import FAMILIES, SUFFIXES, Family
from exporter.model.enums import Stage
from exporter.model.reasons import STAGE_REMEDIES, Reason
from exporter.web.api import openapi
from tests.lab.catalogue import EVERY_SERVER

BUCKET_BOUND = "le"  # the label by which a histogram tells its buckets apart

METRICS_PAGE = """\
# Metrics

This page is generated from the code by `make docs`.

## Of every watched server

Every series bears the label `server_name`, as Synapse's own metrics do, so that both can be joined.

A server's series come from its latest report and nothing else:

- a stage that was not reached has no sample, and a server that is no longer watched has no series;
- no sample carries a timestamp;
- when the latest result is older than three times the probe interval, and than five minutes, the server's series go,
  but for those marked ●;
- before the first result there is only `matrix_federation_probe_interval_seconds`;
- a probe that failed while `matrix_federation_exporter_connectivity_up` is 0 changes nothing but
  `matrix_federation_probes_total`: the latest report is the latest one that the exporter's own network did not spoil.

Where a server has several endpoints, the certificate series speak of the leaf that expires first, for each connection:
`well_known` is https to the server name itself, `federation` an endpoint. They are there for expired and invalid
certificates too. `endpoints` and `endpoints_healthy` tell of both families as soon as addresses were asked for, so
that 0 means that there are none. Label values that a remote server chose are cut to 64 printable characters.

| metric | kind | labels beside `server_name` | meaning |
|---|---|---|---|
{families}

## Of the exporter itself

| metric | kind | labels | meaning |
|---|---|---|---|
{exporter_metrics}

Besides there are the usual `process_*` and `python_*` series of a Python program.

## Formats

`/metrics` speaks Prometheus text 0.0.4 and OpenMetrics 1.0, as `Accept` asks, and gzip, as `Accept-Encoding` asks. In
the text format, kind `info` is a gauge that is always 1.
"""


def metrics_page() -> str:
    return METRICS_PAGE.format(
        families="\n".join(family_row(family) for family in FAMILIES),
        exporter_metrics="\n".join(instrument_rows(ExporterMetrics())),
    )


def family_row(family: Family) -> str:
    mark = " ●" if family.kept_when_stale else ""
    return row(f"`{family.full_name}`{mark}", family.metric_type, family.labels, family.help)


def instrument_rows(exporter_metrics: ExporterMetrics) -> Iterator[str]:
    exporter_metrics.add_list("one, so that the label is known")
    for metric in exporter_metrics.registry.collect():
        if metric.name.startswith(NAMESPACE):
            suffixed = metric.name + SUFFIXES.get(metric.type, "")
            yield row(f"`{suffixed}`", metric.type, labels(metric), metric.documentation)


def labels(metric: Metric) -> tuple[str, ...]:
    names = {name for sample in metric.samples for name in sample.labels}
    return tuple(sorted(names - {BUCKET_BOUND}))


def row(name: str, kind: str, label_names: tuple[str, ...], meaning: str) -> str:
    return cells(name, kind, ", ".join(f"`{label}`" for label in label_names), meaning)


def cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


# ---------------------------------------------------------------- reasons and warnings

REASONS_PAGE = """\
# Reasons

This page is generated from the code by `make docs`.

Why a stage failed is one of these words, in the label `reason` of `matrix_federation_failure_info`, in the report and
in the log. The list is closed. The remedy is what `check` and the report say; some stages have a remedy of their own.

The examples are servers of the embedded federation, and the stages those in which its servers show the reason; others
may meet it too. A test meets every one of them over real sockets. The stage `proxy` belongs to the deep look, which is
made more rarely than a probe.

| reason | stages | for example | remedy |
|---|---|---|---|
{rows}
"""

WARNINGS_PAGE = """\
# Warnings

This page is generated from the code by `make docs`.

What works, but will hurt someone, is one of these words, in the label `warning` of `matrix_federation_warning_info` and
in the report. The list is closed.

The examples are servers of the embedded federation; a test meets every one of them over real sockets.

| warning | for example | remedy |
|---|---|---|
{rows}
"""
NOT_SHOWN = "a fault that nobody foresaw"


def reasons_page() -> str:
    return REASONS_PAGE.format(rows="\n".join(reason_row(reason) for reason in Reason))


def reason_row(reason: Reason) -> str:
    shown = [(stage, server) for server in EVERY_SERVER for stage, why in server.expected if why is reason]
    stages = [stage for stage in Stage if stage in dict(shown)]
    own = [f"`{stage}`: {text}" for (stage, why), text in STAGE_REMEDIES.items() if why is reason]
    return cells(
        f"`{reason}`",
        ", ".join(f"`{stage}`" for stage in stages) or "any",
        min((server for _, server in shown), key=troubles).shows if shown else NOT_SHOWN,
        "<br>".join([reason.remedy, *own]),
    )


def warnings_page() -> str:
    return WARNINGS_PAGE.format(rows="\n".join(warning_row(warning) for warning in WarningName))


def warning_row(warning: WarningName) -> str:
    *_, example = (server for server in EVERY_SERVER if warning in server.warnings)  # the last ones are there for it
    return cells(f"`{warning}`", example.shows, warning.remedy)


def troubles(server: LabServer) -> int:
    return len(server.expected)


# ---------------------------------------------------------------- all of them

PAGES: dict[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "reasons.md": reasons_page,
    "warnings.md": warnings_page,
    "config.schema.json": schema,
    "openapi.json": lambda: json.dumps(openapi.document(), indent=2) + "\n",
    **{f"runbooks/{page.name}": partial(remedies.runbook, page) for page in remedies.pages()},
}
FOLDER = Path(__file__).parent

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
