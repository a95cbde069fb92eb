"""The reports over HTTP, and the document that describes them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from exporter.config import ProbeSettings, WebSettings
from exporter.model import names
from exporter.web.api import openapi
from tests.embedded_federation import lab_servers
from tests.waiting import until
from tests.web.lab_site import BROKEN, HEALTHY, SILENT, LabSite, lab_site, open_to_all

MANY = lab_servers(
    "well-known-port.lab.test",
    "srv.lab.test",
    "dual-stack.lab.test",
    "expired.lab.test",
    "bad-signature.lab.test",
    "other-keys.lab.test",
    "refused.lab.test",
    "plain-http.lab.test",
    "srv-alias.lab.test",
    "srv-servfail.lab.test",
    "nxdomain.lab.test",
)


# ---------------------------------------------------------------- our report


async def test_latest_report(tmp_path: Path) -> None:
    """As it was put on the board: nobody is asked again for it."""
    async with lab_site(tmp_path, HEALTHY, first_round=0.01) as site:
        await until(lambda: site.app.board.snapshot().states[0].state.report)
        first, second = await site.report(HEALTHY), await site.report(HEALTHY)
        assert first == second
        assert (first["federation_ok"], len(first["history"]), first["last_failures"]) == (True, 1, [])
        assert first["deep_look"] is not None
        assert site.probes(HEALTHY) == 1


async def test_report_before_the_first_probe(tmp_path: Path) -> None:
    """There is none yet, which is told, and when to come back."""
    async with lab_site(tmp_path, HEALTHY) as site:
        answer = await site.client.get(f"/api/v1/report?server_name={HEALTHY.server_name}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert f"{HEALTHY.server_name} has not been probed yet: ask again in a minute" in answer.text


async def test_fresh_report(tmp_path: Path) -> None:
    """Of a probe of its own, which is remembered, and without a deep look: that keeps its own pace."""
    async with lab_site(tmp_path, HEALTHY) as site:
        for remembered in (1, 2):
            report = await site.report(HEALTHY, fresh="true")
            assert len(report["history"]) == remembered
        assert (site.probes(HEALTHY), report["deep_look"]) == (2, None)


async def test_failures_are_kept_aside(tmp_path: Path) -> None:
    """With when and why."""
    async with lab_site(tmp_path, BROKEN) as site:
        (failure,) = (await site.report(BROKEN, fresh="true"))["last_failures"]
    assert failure["federation_ok"] is False
    assert failure["problems"] == [{"stage": "tls", "reason": "certificate_expired"}]


async def test_server_that_is_not_watched_is_probed_where_that_is_allowed(tmp_path: Path) -> None:
    """Each time, as nothing is remembered of it."""
    async with lab_site(tmp_path, HEALTHY, BROKEN, servers=[HEALTHY.server_name], web=open_to_all()) as site:
        for _ in range(2):
            report = await site.report(BROKEN)
            assert (report["federation_ok"], len(report["history"])) == (False, 1)


async def test_deep_findings_are_kept(tmp_path: Path) -> None:
    """Until the next deep look; its time says how old they are."""
    async with lab_site(tmp_path, HEALTHY, first_round=0.01) as site:
        await until(lambda: site.app.board.snapshot().states[0].state.report)
        first, fresh = await site.report(HEALTHY), await site.report(HEALTHY, fresh="true")
        assert fresh["deep_look"] == first["deep_look"]
        metrics = (await site.get("/metrics")).text
        assert 'exporter_stage_duration_seconds_count{probe_stage="version"} 2.0' in metrics
        assert 'exporter_stage_duration_seconds_count{probe_stage="proxy"} 2.0' not in metrics


async def test_deep_look_is_made_again_in_time(tmp_path: Path) -> None:
    """Every probe of the schedule that finds it too old makes another."""
    settings = {"interval": "1s", "timeout": "900ms", "deep_interval": "1ms"}
    async with lab_site(tmp_path, HEALTHY, first_round=0.01, probe=settings) as site:
        seen: set[str] = set()
        await until(lambda: site.app.board.snapshot().states[0].state.report)
        async with asyncio.timeout(20):
            while len(seen) < 2:
                seen.add((await site.report(HEALTHY))["deep_look"]["checked_at"])
    earlier, later = sorted(map(datetime.fromisoformat, seen))
    assert earlier < later <= datetime.now(UTC)


# ---------------------------------------------------------------- the description


DOCUMENT = openapi.document()


def closed(schema: Any) -> Any:
    """Without any field that the document does not name: more may come, but not unseen."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(entry) for key, entry in schema.items()}
    return {**inner, "additionalProperties": False} if "required" in schema and "properties" in schema else inner


def hold(answer: httpx.Response) -> None:
    """What is described for this path, status and content type is what was answered."""
    described = DOCUMENT["paths"][answer.request.url.path]["get"]["responses"][str(answer.status_code)]["content"]
    schema = described[answer.headers["content-type"].partition(";")[0]]["schema"]
    is_json = answer.headers["content-type"] == "application/json"
    whole = {**closed(schema), "components": closed(DOCUMENT["components"])}
    content = answer.json() if is_json else answer.text
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(content)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def many(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabSite]:
    """Ready to answer, each of them with a deep look behind it."""
    folder, notary = tmp_path_factory.mktemp("many"), MANY[0].server_name
    async with lab_site(folder, *MANY, first_round=0.01, notaries=[notary]) as site:
        await until(lambda: all(rendered.state.report for rendered in site.app.board.snapshot().states))
        yield site


PATHS = ("/api/v1/report", "/api/report", "/api/federation-ok")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("server", MANY, ids=lambda server: server.server_name)
@pytest.mark.asyncio(loop_scope="module")
async def test_reports_are_as_described(many: LabSite, path: str, server: Any) -> None:
    """Healthy or broken in whatever way."""
    answer = await many.get(path, server_name=server.server_name)
    assert answer.status_code == 200
    hold(answer)


@pytest.mark.parametrize("parameter", ["server_name", "target"])
async def test_refusals_are_as_described(tmp_path: Path, parameter: str) -> None:
    """Every status of every path."""
    settings = {"interval": "1y", "timeout": "20s", "concurrency": 1}
    met = set()
    async with lab_site(tmp_path, SILENT, HEALTHY, servers=[SILENT.server_name], probe=settings) as site:
        for path in DOCUMENT["paths"]:
            if parameter == DOCUMENT["paths"][path]["get"]["parameters"][0]["name"]:
                met |= {(path, answer.status_code) async for answer in refusals(site, path, parameter)}
    paths = [path for path, item in DOCUMENT["paths"].items() if item["get"]["parameters"][0]["name"] == parameter]
    assert met == {(path, status) for path in paths for status in openapi.REFUSALS}


async def refusals(site: LabSite, path: str, parameter: str) -> AsyncIterator[httpx.Response]:
    """One of each status."""
    watched, unknown = {parameter: SILENT.server_name, "fresh": "true"}, {parameter: HEALTHY.server_name}
    yield await described(site, path, {})
    yield await described(site, path, unknown)
    with changed(site, web=WebSettings(probe_any=True)):
        while not site.app.queries.limit.take():
            pass
        yield await described(site, path, unknown)
    busy = asyncio.create_task(site.app._runner.run_scheduled(names.parse(SILENT.server_name)))
    await asyncio.sleep(0)
    with changed(site, probe=ProbeSettings(timeout=0.1)):
        yield await described(site, path, watched)
    busy.cancel()
    site.app._runner._stopping = True
    yield await described(site, path, watched)
    site.app._runner._stopping = False


@contextmanager
def changed(site: LabSite, **sections: Any) -> Iterator[None]:
    """As by a reload, and another one."""
    before = site.app._active
    site.app._active = replace(before, config=replace(before.config, **sections))
    yield
    site.app._active = before


async def described(
    site: LabSite, path: str, parameters: dict[str, str], headers: dict[str, str] | None = None
) -> httpx.Response:
    answer = await site.client.get(path, params=parameters, headers=headers)
    hold(answer)
    return answer


async def test_description_is_served(tmp_path: Path) -> None:
    """The same as in docs/, and valid as a document of OpenAPI 3.1."""
    async with lab_site(tmp_path, HEALTHY) as site:
        answer = await site.client.get("/api/openapi.json")
    assert answer.json() == DOCUMENT
    assert json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text()) == DOCUMENT
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", [*DOCUMENT["paths"], "/api/openapi.json"])
async def test_answers_are_for_now_and_no_pages(tmp_path: Path, path: str) -> None:
    """They hold words of remote servers, and what was true a moment ago."""
    async with lab_site(tmp_path, HEALTHY) as site:
        answer = await site.client.get(path, params={"server_name": HEALTHY.server_name, "target": HEALTHY.server_name})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
