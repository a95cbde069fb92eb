"""`/probe` over the lab: what Prometheus as the scheduler sees."""

import asyncio
import math
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.exposition import TEXT
from exporter.metrics.families import FAMILIES
from exporter.model import names
from exporter.runtime.rate_limit import RateLimit
from exporter.web.api import queries
from exporter.web.api.probe import parse_timeout
from tests.embedded_federation import lab_servers, series
from tests.lab.slow import delayed
from tests.scrapes import OPENMETRICS
from tests.waiting import leaked_tasks, until
from tests.web.lab_site import BROKEN, HEALTHY, SILENT, LabSite, lab_site, open_to_all

SLOW = "X-Prometheus-Scrape-Timeout-Seconds"
(OTHER,) = lab_servers("srv.lab.test")


def values(answer: httpx.Response) -> dict[str, float]:
    assert answer.status_code == 200, answer.text
    return {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def probe(site: LabSite, target: str, headers: dict[str, str] | None = None, **more: str) -> httpx.Response:
    return await site.get("/probe", headers, target=target, **more)


# ---------------------------------------------------------------- the answer


async def test_probes_now_and_tells_the_same_families(tmp_path: Path) -> None:
    """Of that one server; nothing of the exporter itself, and nothing of the other servers."""
    async with lab_site(tmp_path, HEALTHY, BROKEN) as site:
        answer = await probe(site, BROKEN.server_name)
        families = [family.name for family in text_string_to_metric_families(answer.text)]
    assert answer.headers["content-type"] == TEXT.content_type
    assert len(families) == len(FAMILIES)
    found = values(answer)
    labels = {"server_name": BROKEN.server_name}
    assert found[series("probe_success", labels)] == 0
    assert found[series("failure_info", labels | {"probe_stage": "tls", "reason": "certificate_expired"})] == 1
    assert all(f'server_name="{BROKEN.server_name}"' in name for name in found)
    assert leaked_tasks() == set()


async def test_probe_speaks_openmetrics(tmp_path: Path) -> None:
    """As `/metrics` does."""
    async with lab_site(tmp_path, HEALTHY) as site:
        answer = await probe(site, HEALTHY.server_name, {"Accept": f"{OPENMETRICS};version=1.0.0"})
    assert answer.headers["content-type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")


async def test_every_request_is_a_probe(tmp_path: Path) -> None:
    """And its report is the latest one everywhere: the counters go on."""
    async with lab_site(tmp_path, HEALTHY) as site:
        total = series("probes_total", {"server_name": HEALTHY.server_name})
        assert [values(await probe(site, HEALTHY.server_name))[total] for _ in range(3)] == [1, 2, 3]
        metrics = values(await site.get("/metrics"))
        assert metrics[total] == 3
        assert metrics['exporter_stage_duration_seconds_count{probe_stage="version"}'] == 3
        assert site.probes(HEALTHY) == 3


async def test_account_in_words(tmp_path: Path) -> None:
    """What happened at every step, with remedies, and then the metrics; plain text without colour."""
    async with lab_site(tmp_path, BROKEN) as site:
        answer = await probe(site, BROKEN.server_name, {"Accept": OPENMETRICS}, debug="true")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    account, _, metrics = answer.text.partition("\n# HELP ")
    assert account.startswith(f"✗ {BROKEN.server_name} does not federate (")
    assert "remedy: " in account
    assert "\x1b" not in answer.text
    assert f'matrix_federation_probe_success{{server_name="{BROKEN.server_name}"}} 0.0\n' in metrics


# ---------------------------------------------------------------- sharing


def slow_down(site: LabSite) -> None:
    """The homeserver takes a fifth of a second for each response."""
    running = site.federation.server(HEALTHY.server_name)
    running.federation_site.fallback = delayed(running.homeserver, 0.2)


async def test_equal_requests_share_one_probe(tmp_path: Path) -> None:
    """Ten people who ask at once are one question to the server."""
    async with lab_site(tmp_path, HEALTHY) as site:
        slow_down(site)
        answers = await asyncio.gather(*(probe(site, HEALTHY.server_name) for _ in range(10)))
        assert site.probes(HEALTHY) == 1
    assert {answer.text for answer in answers} == {answers[0].text}


async def test_scheduled_probe_is_shared_too(tmp_path: Path) -> None:
    """And its deep look keeps nobody waiting."""
    async with lab_site(tmp_path, HEALTHY) as site:
        slow_down(site)
        scheduled = asyncio.create_task(site.app._runner.run_scheduled(names.parse(HEALTHY.server_name)))
        await until(lambda: site.probes(HEALTHY))
        found = values(await probe(site, HEALTHY.server_name))
        assert not scheduled.done()
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
def test_scraper_is_answered_in_time(header: str | None, seconds: float) -> None:
    """Half a second before it gives up; a header that makes no sense is none."""
    assert parse_timeout(header) == seconds


async def test_probe_ends_before_the_scrape_does(tmp_path: Path) -> None:
    """With a reason, and no failed scrape. On the board that would be unjust: it had less time than usual."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        found = values(await probe(site, SILENT.server_name, {SLOW: "1.1"}))
        labels = {"server_name": SILENT.server_name}
        assert found[series("probe_success", labels)] == 0
        assert found[series("failure_info", labels | {"probe_stage": "tcp", "reason": "connect_timeout"})] == 1
        assert found[series("probe_duration_seconds", labels)] < 1
        assert series("probes_total", labels) not in values(await site.get("/metrics"))
        assert (await site.get("/api/v1/report", server_name=SILENT.server_name)).status_code == 503


async def test_probe_takes_no_longer_than_configured(tmp_path: Path) -> None:
    """However long the scraper would wait."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "600ms"}) as site:
        found = values(await probe(site, SILENT.server_name, {SLOW: "60"}))
        labels = {"server_name": SILENT.server_name}
        assert found[series("probe_duration_seconds", labels)] < 1
        assert values(await site.get("/metrics"))[series("probes_total", labels)] == 1


async def test_nobody_waits_longer_than_a_connection_may_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a probe may take by the configuration."""
    monkeypatch.setattr(queries, "MAX_PROBE_SECONDS", 0.6)
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site, asyncio.timeout(10):
        assert values(await probe(site, SILENT.server_name))


async def test_earlier_probe_that_takes_longer(tmp_path: Path) -> None:
    """It is not ours to hurry, so the answer is that there is none."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "20s"}) as site:
        earlier = asyncio.create_task(site.app._runner.run_scheduled(names.parse(SILENT.server_name)))
        await until(lambda: site.federation.dns.questions)
        answer = await probe(site, SILENT.server_name, {SLOW: "0.6"})
        assert answer.status_code == 504
        assert answer.text.startswith(f"{SILENT.server_name} was not probed in time")
        earlier.cancel()


async def test_at_most_so_many_probes_in_all(tmp_path: Path) -> None:
    """With a concurrency of 1 and a probe under way, another server has to wait for its turn."""
    settings = {"interval": "1y", "timeout": "20s", "concurrency": 1}
    async with lab_site(tmp_path, SILENT, HEALTHY, probe=settings) as site:
        first = asyncio.create_task(probe(site, SILENT.server_name))
        await until(lambda: site.federation.dns.questions)
        answer = await probe(site, HEALTHY.server_name, {SLOW: "0.6"})
        assert (answer.status_code, site.probes(HEALTHY)) == (504, 0)
        first.cancel()


async def test_exporter_that_stops_answers(tmp_path: Path) -> None:
    """Whoever waits for a probe learns that there will be none."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        waiting = asyncio.create_task(probe(site, SILENT.server_name))
        await until(lambda: site.federation.dns.questions)
        await site.app._runner.__aexit__()
        answer = await waiting
        assert (answer.status_code, answer.text) == (503, "The exporter is stopping.\n")
        assert (await probe(site, SILENT.server_name)).status_code == 503
    assert leaked_tasks() == set()


# ---------------------------------------------------------------- who may ask for what


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Expected one parameter target, found none: ask for ?target=example.org."),
        ("target=a.test&target=b.test", "Expected one parameter target, found 2: ask for ?target=example.org."),
        ("target=", "'' is no server name: the host is empty."),
        ("target=https://a.test/", "'https://a.test/' is no server name: this is a URL: drop"),
        (f"target={'a' * 3000}", f"'{'a' * 99}…' is no server name: the host has 3000 characters, at most 255 are"),
        ("target=%1b[31m", "'\N{REPLACEMENT CHARACTER}[31m' is no server name: only letters,"),
        ("target=a.test&debug=1", "Expected debug=true or debug=false, found 1."),
        ("target=a.test&debug=true&debug=true", "Expected debug=true or debug=false, found true, true."),
    ],
)
async def test_request_that_makes_no_sense(tmp_path: Path, query: str, sentence: str) -> None:
    """Is told what was expected and what was found, bounded and printable."""
    async with lab_site(tmp_path, HEALTHY) as site:
        answer = await site.client.get(f"/probe?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert answer.text.startswith(sentence)


async def test_only_watched_servers_are_probed(tmp_path: Path) -> None:
    """Else anyone who can reach the exporter could make it knock anywhere."""
    async with lab_site(tmp_path, HEALTHY, OTHER, servers=[HEALTHY.server_name]) as site:
        answer = await probe(site, OTHER.server_name)
        assert not site.federation.dns.questions
    sentence = f"{OTHER.server_name} is not watched: list it under `servers`, or set `web.probe_any: true`.\n"
    assert (answer.status_code, answer.text) == (404, sentence)


async def test_any_server_is_probed_where_that_is_allowed(tmp_path: Path) -> None:
    """It is not watched for that: `/metrics` says nothing of it."""
    async with lab_site(tmp_path, HEALTHY, OTHER, servers=[HEALTHY.server_name], web=open_to_all()) as site:
        found = values(await probe(site, OTHER.server_name))
        assert found[series("probe_success", {"server_name": OTHER.server_name})] == 1
        assert OTHER.server_name not in (await site.get("/metrics")).text


async def test_servers_that_are_not_watched_are_rationed(tmp_path: Path) -> None:
    """Those that are watched are not."""
    now = [0.0]
    async with lab_site(tmp_path, HEALTHY, OTHER, servers=[HEALTHY.server_name], web=open_to_all()) as site:
        limit = RateLimit(per_minute=10, burst=2, clock=lambda: now[0])
        site.app.queries.limit = limit
        statuses = [(await probe(site, OTHER.server_name)).status_code for _ in range(3)]
        refused = await probe(site, OTHER.server_name)
        watched = await probe(site, HEALTHY.server_name)
        now[0] = 6.0
        again = await probe(site, OTHER.server_name)
    assert statuses == [200, 200, 429]
    assert (refused.headers["retry-after"], watched.status_code, again.status_code) == ("6", 200, 200)


def test_rate_limit_fills_up_again() -> None:
    """Up to the burst, and no further."""
    now = [0.0]
    limit = RateLimit(per_minute=6, burst=2, clock=lambda: now[0])
    assert [limit.take() for _ in range(3)] == [0, 0, 10]
    now[0] = 5
    assert limit.take() == 5
    now[0] = 10_000
    assert [limit.take() for _ in range(3)] == [0, 0, 10]


async def test_servers_of_another_shard_are_probed_too(tmp_path: Path) -> None:
    """Whoever asks need not know who watches which; a server that is on no list is refused."""
    other = OTHER.server_name
    async with lab_site(tmp_path, HEALTHY, OTHER, servers=[HEALTHY.server_name]) as site:
        refused = await probe(site, other)
        site.app.queries.is_configured = lambda name: name.text == other
        answered = await probe(site, other)
    assert refused.status_code == 404
    assert values(answered)[series("probe_success", {"server_name": other})] == 1
