"""Histories for the pages: an empty one, and one of these reports."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from exporter.config import StorageSettings
from exporter.history.storage.storage import Storage
from exporter.model.report import Report
from exporter.reports.report_json import report_json
from exporter.reports.server_state import ServerState, history_entry
from tests.sample_reports import watched_server


@asynccontextmanager
async def history_of(*reports: Report, now: datetime | None = None, path: Path | None = None) -> AsyncIterator[Storage]:
    """Yield a history to which these reports were added, in order. It is in memory, or in the file at `path`. `now` is
    the end of its strips.
    """
    history = Storage(report_json, lambda: now or datetime.now(UTC))
    async with history.open(StorageSettings(path)):
        record(history, reports)
        yield history


def record(history: Storage, reports: Iterable[Report]) -> None:
    """Add reports to a history as the exporter does, as if its servers were watched from the first of them on."""
    states: dict[str, ServerState] = {}
    for report in reports:
        name = report.server_name.text
        before = states.get(name) or ServerState(watched_server(name))
        states[name] = before.with_report(report)
        history.record(history_entry(before, states[name], report))
