"""The runbooks name what exists: events of the log, reasons, and settings."""

import json
import re
from pathlib import Path

import pytest

from docs.config_schema import schema
from exporter.metrics.exporter_metrics import SkipReason
from tests.deploy.rules import ROOT, RUNBOOKS

PAGES = sorted(RUNBOOKS.glob("*.md"))
SOURCE = "".join(file.read_text() for file in sorted((ROOT / "exporter").rglob("*.py")))
SEARCHED = re.compile(r"journalctl .*grep -E '([^']+)'")
SETTING = re.compile(r"`(probe|network|web|lists)\.(\w+)")


def settings() -> set[tuple[str, str]]:
    """Return every key of the configuration's sections."""
    whole = json.loads(schema())
    sections = {name: each["$ref"].rpartition("/")[2] for name, each in whole["properties"].items() if "$ref" in each}
    return {(name, key) for name, section in sections.items() for key in whole["$defs"][section]["properties"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_events_and_settings_exist(page: Path) -> None:
    """What a runbook searches the log for may be logged, and what it advises to set can be set."""
    text = page.read_text()
    searched = "|".join(SEARCHED.findall(text)).split("|")
    assert [words for words in searched if words not in SOURCE] == []
    assert set(SETTING.findall(text)) - settings() == set()


def test_every_reason_of_a_skipped_probe_is_explained() -> None:
    """With what it means and what to do, except for a shutdown, of which no alert fires."""
    text = (RUNBOOKS / "MatrixFederationExporterOverloaded.md").read_text()
    counts = {reason: text.count(f"`{reason}`") for reason in SkipReason}
    assert counts == {**dict.fromkeys(SkipReason, 2), SkipReason.SHUTDOWN: 0}


def test_no_runbook_advises_to_silence_an_alert() -> None:
    """A rule that is wrong for somebody is repaired instead."""
    assert [page.name for page in PAGES if re.search(r"\bsilence", page.read_text(), re.IGNORECASE)] == []
