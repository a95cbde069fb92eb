"""`/probe` with the embedded federation, as Prometheus uses it."""

import asyncio
import math
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.demo.homeserver import KEYS, VERSION
from exporter.metrics.exposition import TEXT
from exporter.metrics.families import FAMILIES
from exporter.model import names
from exporter.scheduling import single_flight
from exporter.web.api import queries
from exporter.web.api.probe import parse_timeout
from tests.embedded_federation import series
from tests.lab.slow import held_back
from tests.scrapes import OPENMETRICS
from tests.waiting import PATIENCE, leaked_tasks, until
from tests.web.lab_site import BROKEN, HEALTHY, SILENT, LabSite, lab_site

pytestmark = pytest.mark.lab

SCRAPE_TIMEOUT = "X-Prometheus-Scrape-Timeout-Seconds"


def values(response: httpx.Response) -> dict[str, float]:
    """Return the samples by name and labels. The status must be 200."""
    assert response.status_code == 200, response.text
    return {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def probe(site: LabSite, target: str, headers: dict[str, str] | None = None, **more: str) -> httpx.Response:
    return await site.get_probed("/probe", headers, target=target, **more)


# ---------------------------------------------------------------- the response


async def test_the_metrics_are_those_of_one_server(tmp_path: Path) -> None:
    """They have the same families as /metrics, without the exporter itself and without other servers."""
    async with lab_site(tmp_path, HEALTHY, BROKEN) as site:
        response = await probe(site, BROKEN.server_name)
        families = [family.name for family in text_string_to_metric_families(response.text)]
    assert response.headers["content-type"] == TEXT.content_type
    assert len(families) == len(FAMILIES)
    found = values(response)
    labels = {"server_name": BROKEN.server_name}
    assert found[series("probe_success", labels)] == 0
    assert found[series("failure_info", labels | {"probe_stage": "tls", "reason": "certificate_expired"})] == 1
    assert all(f'server_name="{BROKEN.server_name}"' in name for name in found)
    assert leaked_tasks() == set()


async def test_the_metrics_may_be_openmetrics(tmp_path: Path) -> None:
    """The Accept header decides, as for /metrics."""
    async with lab_site(tmp_path, HEALTHY) as site:
        response = await probe(site, HEALTHY.server_name, {"Accept": f"{OPENMETRICS};version=1.0.0"})
    assert response.headers["content-type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert response.text.endswith("# EOF\n")


async def test_every_request_is_a_probe(tmp_path: Path) -> None:
    """Its report becomes the latest one on /metrics too, and the counters continue."""
    async with lab_site(tmp_path, HEALTHY) as site:
        total = series("probes_total", {"server_name": HEALTHY.server_name})
        assert [values(await probe(site, HEALTHY.server_name))[total] for _ in range(3)] == [1, 2, 3]
        metrics = values(await site.get("/metrics"))
        assert metrics[total] == 3
        assert metrics['exporter_stage_duration_seconds_count{probe_stage="version"}'] == 3
        assert site.probes(HEALTHY) == 3


async def test_debug_describes_every_step(tmp_path: Path) -> None:
    """The text has remedies and no colours, and the metrics follow."""
    async with lab_site(tmp_path, BROKEN) as site:
        response = await probe(site, BROKEN.server_name, {"Accept": OPENMETRICS}, debug="true")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    description, _, metrics = response.text.partition("\n# HELP ")
    assert description.startswith(f"✗ {BROKEN.server_name} does not federate (")
    assert "remedy: " in description
    assert "\x1b" not in response.text
    assert f'matrix_federation_probe_success{{server_name="{BROKEN.server_name}"}} 0.0\n' in metrics


# ---------------------------------------------------------------- sharing


def hold_back(site: LabSite, until: Callable[[str], asyncio.Event]) -> None:
    """Make the homeserver wait with each response for the event that belongs to the path."""
    running = site.federation.server(HEALTHY.server_name)
    running.federation_site.fallback = held_back(running.homeserver, until)


async def test_concurrent_requests_share_a_probe(tmp_path: Path) -> None:
    """The server is probed once for ten requests."""
    respond = asyncio.Event()
    async with lab_site(tmp_path, HEALTHY) as site:
        hold_back(site, lambda _: respond)
        requests = asyncio.gather(*(probe(site, HEALTHY.server_name) for _ in range(10)))
        await until(lambda: site.app.queries.pending == 10)
        respond.set()
        responses = await requests
        assert site.probes(HEALTHY) == 1
    assert {response.text for response in responses} == {responses[0].text}


async def test_a_scheduled_probe_is_shared_too(tmp_path: Path) -> None:
    """A request does not wait for its deep look."""
    respond, look_deep = asyncio.Event(), asyncio.Event()
    async with lab_site(tmp_path, HEALTHY) as site:
        hold_back(site, lambda path: respond if path in {VERSION, KEYS} else look_deep)
        scheduled = asyncio.create_task(site.app._runner.run_scheduled(names.parse(HEALTHY.server_name)))
        await until(lambda: site.probes(HEALTHY))
        request = asyncio.create_task(probe(site, HEALTHY.server_name))
        await until(lambda: site.app.queries.pending == 1)
        respond.set()
        found = values(await request)
        assert not scheduled.done()
        look_deep.set()
        await scheduled
        assert site.probes(HEALTHY) == 1
        assert found[series("probes_total", {"server_name": HEALTHY.server_name})] == 1
        assert (await site.report(HEALTHY))["deep_look"] is not None


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, math.inf),
        ("10", 9.5),
        ("7.25", 6.75),
        ("0.3", 0.1),
        *((garbage, math.inf) for garbage in ("", "0", "-1", "nan", "inf", "ten", "1,5")),
    ],
)
def test_the_probe_takes_half_a_second_less_than_the_scrape_timeout(header: str | None, seconds: float) -> None:
    """An invalid header is ignored."""
    assert parse_timeout(header) == seconds


async def test_the_probe_ends_before_the_scrape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response has a reason. The report is not put on the board, because the probe had less time than usual."""
    monkeypatch.setattr(single_flight, "_SLACK_SECONDS", PATIENCE)
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        found = values(await probe(site, SILENT.server_name, {SCRAPE_TIMEOUT: "1.1"}))
        labels = {"server_name": SILENT.server_name}
        assert found[series("probe_success", labels)] == 0
        assert found[series("failure_info", labels | {"probe_stage": "tcp", "reason": "connect_timeout"})] == 1
        assert series("probes_total", labels) not in values(await site.get("/metrics"))
        assert (await site.get("/api/v1/report", server_name=SILENT.server_name)).status_code == 503


async def test_a_short_scrape_timeout_does_not_falsify_the_responses_to_others(tmp_path: Path) -> None:
    """The server takes longer than the first client waits, and not longer than the second one does."""
    respond = asyncio.Event()
    async with lab_site(tmp_path, HEALTHY, probe={"interval": "1y", "timeout": "1m"}) as site:
        hold_back(site, lambda _: respond)
        hasty = asyncio.create_task(probe(site, HEALTHY.server_name, {SCRAPE_TIMEOUT: "2"}))
        await until(lambda: site.app._runner._in_flight)
        patient = asyncio.create_task(probe(site, HEALTHY.server_name))
        success = series("probe_success", {"server_name": HEALTHY.server_name})
        assert values(await hasty)[success] == 0
        respond.set()
        assert values(await patient)[success] == 1


async def test_the_probe_takes_at_most_the_configured_timeout(tmp_path: Path) -> None:
    """The scrape timeout is longer."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "600ms"}) as site:
        assert values(await probe(site, SILENT.server_name, {SCRAPE_TIMEOUT: "3600"}))
        labels = {"server_name": SILENT.server_name}
        assert values(await site.get("/metrics"))[series("probes_total", labels)] == 1


async def test_the_probe_ends_before_its_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configured timeout is longer."""
    monkeypatch.setattr(queries, "MAX_PROBE_SECONDS", 0.6)
    monkeypatch.setattr(single_flight, "_SLACK_SECONDS", PATIENCE)
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1h"}) as site:
        assert values(await probe(site, SILENT.server_name))


async def test_a_running_probe_that_takes_too_long_is_status_504(tmp_path: Path) -> None:
    """The request cannot shorten it."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1h"}) as site:
        earlier = asyncio.create_task(site.app._runner.run_scheduled(names.parse(SILENT.server_name)))
        await until(lambda: site.federation.dns.questions)
        response = await site.get("/probe", {SCRAPE_TIMEOUT: "0.6"}, target=SILENT.server_name)
        assert response.status_code == 504
        assert response.text.startswith(f"{SILENT.server_name} was not probed in time")
        earlier.cancel()


async def test_without_a_free_probe_slot_the_status_is_504(tmp_path: Path) -> None:
    """The concurrency is 1, and another probe is in flight."""
    settings = {"interval": "1y", "timeout": "1h", "concurrency": 1}
    async with lab_site(tmp_path, SILENT, HEALTHY, probe=settings) as site:
        first = asyncio.create_task(probe(site, SILENT.server_name))
        await until(lambda: site.federation.dns.questions)
        response = await site.get("/probe", {SCRAPE_TIMEOUT: "0.6"}, target=HEALTHY.server_name)
        assert (response.status_code, site.probes(HEALTHY)) == (504, 0)
        first.cancel()
