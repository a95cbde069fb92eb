"""`/api/v1/report`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, until
from tests.web.lab_site import BROKEN, HEALTHY, lab_site, open_to_all

pytestmark = pytest.mark.lab


async def test_the_latest_report_needs_no_probe(tmp_path: Path) -> None:
    """It is the report on the board."""
    async with lab_site(tmp_path, HEALTHY, first_round=0.01) as site:
        await until(lambda: site.app.board.snapshot().states[0].state.report)
        first, second = await site.report(HEALTHY), await site.report(HEALTHY)
        assert first == second
        assert (first["federation_ok"], len(first["history"]), first["last_failures"]) == (True, 1, [])
        assert first["deep_look"] is not None
        assert site.probes(HEALTHY) == 1


async def test_a_fresh_report_is_that_of_a_new_probe(tmp_path: Path) -> None:
    """The probe becomes part of the history. It does not include a deep look, which has its own interval."""
    async with lab_site(tmp_path, HEALTHY) as site:
        for probes in (1, 2):
            report = await site.report(HEALTHY, fresh="true")
            assert len(report["history"]) == probes
        assert (site.probes(HEALTHY), report["deep_look"]) == (2, None)


async def test_failures_are_listed_separately(tmp_path: Path) -> None:
    """They have the stage and the reason."""
    async with lab_site(tmp_path, BROKEN) as site:
        (failure,) = (await site.report(BROKEN, fresh="true"))["last_failures"]
    assert failure["federation_ok"] is False
    assert failure["problems"] == [{"stage": "tls", "reason": "certificate_expired"}]


async def test_a_server_that_is_not_watched_has_no_history(tmp_path: Path) -> None:
    """Every request is a probe, if it is allowed."""
    async with lab_site(tmp_path, HEALTHY, BROKEN, servers=[HEALTHY.server_name], web=open_to_all()) as site:
        for _ in range(2):
            report = await site.report(BROKEN)
            assert (report["federation_ok"], len(report["history"])) == (False, 1)


async def test_the_deep_look_is_kept_until_the_next_one(tmp_path: Path) -> None:
    """A fresh report has the results of the latest deep look."""
    async with lab_site(tmp_path, HEALTHY, first_round=0.01) as site:
        await until(lambda: site.app.board.snapshot().states[0].state.report)
        first, fresh = await site.report(HEALTHY), await site.report(HEALTHY, fresh="true")
        assert fresh["deep_look"] == first["deep_look"]
        metrics = (await site.get("/metrics")).text
        assert 'exporter_stage_duration_seconds_count{probe_stage="version"} 2.0' in metrics
        assert 'exporter_stage_duration_seconds_count{probe_stage="proxy"} 2.0' not in metrics


async def test_a_scheduled_probe_repeats_an_old_deep_look(tmp_path: Path) -> None:
    """The deep look is older than `probe.deep_interval`."""
    settings = {"interval": "3s", "timeout": "2900ms", "deep_interval": "1ms"}
    async with lab_site(tmp_path, HEALTHY, first_round=0.01, probe=settings) as site:
        seen: set[str] = set()
        await until(lambda: site.app.board.snapshot().states[0].state.report)
        async with asyncio.timeout(PATIENCE):
            while len(seen) < 2:
                seen.add((await site.report(HEALTHY))["deep_look"]["checked_at"])
    earlier, later = sorted(map(datetime.fromisoformat, seen))
    assert earlier < later <= datetime.now(UTC)
