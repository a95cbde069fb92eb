"""`check --history`: what a file says of a server."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import check
from exporter.demo.federation import Federation
from exporter.model import names
from exporter.model.findings import Software
from exporter.model.outcomes import Passed
from tests.embedded_federation import lab_servers, write_config
from tests.histories import history_of
from tests.history.sequences import failing, good, sequence
from tests.sample_reports import healthy_at, with_endpoints

pytestmark = pytest.mark.lab

(HEALTHY,) = lab_servers("default-port.lab.test")
EXPECTED = """\
history
├── incidents
│   ├── 2026-11-22 18:04:00Z until now: tls certificate_expired at 1 of 1
│   │   endpoints
│   └── 2026-11-22 18:01:00Z to 18:02:00Z: tls certificate_expired at 1 of 1
│       endpoints
└── changes
    └── 2026-11-22 18:03:00Z software: Synapse 1.163.2 → Synapse 1.164.0
"""


async def checked(folder: Path, *, as_json: bool, path: str = "history.sqlite") -> int:
    """Check a server, and return the exit status."""
    async with Federation([HEALTHY]) as federation:
        file = write_config(folder / "config.yaml", federation, storage={"path": path})
        return await asyncio.to_thread(check.run, [HEALTHY.server_name], file, as_json=as_json, with_history=True)


async def fill(path: Path) -> None:
    updated = replace(healthy_at("192.0.2.1"), version=Passed(0.1, Software("Synapse", "1.164.0")))
    name = names.parse(HEALTHY.server_name)
    reports = sequence(good(), failing(), good(), with_endpoints(updated), failing())
    async with history_of(*(replace(report, server_name=name) for report in reports), path=path):
        pass


async def test_incidents_and_changes_follow_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest first. An incident that lasts has no end, although the probe succeeds."""
    await fill(tmp_path / "history.sqlite")
    assert await checked(tmp_path, as_json=False) == 0
    shown = capsys.readouterr()
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert (lines[lines.index("history") :], shown.err) == (EXPECTED.splitlines(), "")


async def test_json_contains_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the API returns them."""
    await fill(tmp_path / "history.sqlite")
    assert await checked(tmp_path, as_json=True) == 0
    seen = json.loads(capsys.readouterr().out)
    assert [(each["began"], each["ended"]) for each in seen["incidents"]] == [
        ("2026-11-22T18:04:00Z", None),
        ("2026-11-22T18:01:00Z", "2026-11-22T18:02:00Z"),
    ]
    assert [each["subject"] for each in seen["changes"]] == ["software"]


async def test_it_reads_while_an_exporter_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And changes nothing."""
    path = tmp_path / "history.sqlite"
    name = names.parse(HEALTHY.server_name)
    reports = [replace(report, server_name=name) for report in sequence(good(), failing())]
    async with history_of(*reports, path=path) as history:
        assert await history.recall([name])
        assert await checked(tmp_path, as_json=True) == 0
    assert len(json.loads(capsys.readouterr().out)["incidents"]) == 1


async def test_status_is_2_without_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is probed."""
    assert await checked(tmp_path, as_json=True, path="missing.sqlite") == 2
    assert check.run([HEALTHY.server_name], None, as_json=True, with_history=True) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        f"cannot read the history in {tmp_path / 'missing.sqlite'}: unable to open database file",
        "--history needs a configuration with storage.path: use --config",
    ]
