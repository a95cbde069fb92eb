"""The OpenAPI document, and whether responses match it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from exporter.config import ProbeSettings, WebSettings
from exporter.model import names
from exporter.web.api import openapi, tester
from tests.embedded_federation import lab_servers
from tests.waiting import until
from tests.web.lab_site import HEALTHY, SILENT, LabSite, lab_site

pytestmark = pytest.mark.lab

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


DOCUMENT = openapi.document()


def closed(schema: Any) -> Any:
    """Return the schema without additional fields: fields may be added, but not without a description."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(entry) for key, entry in schema.items()}
    return {**inner, "additionalProperties": False} if "required" in schema and "properties" in schema else inner


def validate(response: httpx.Response) -> None:
    """Check the response against the schema of its path, status and content type."""
    described = DOCUMENT["paths"][response.request.url.path]["get"]["responses"][str(response.status_code)]["content"]
    schema = described[response.headers["content-type"].partition(";")[0]]["schema"]
    is_json = response.headers["content-type"] == "application/json"
    whole = {**closed(schema), "components": closed(DOCUMENT["components"])}
    content = response.json() if is_json else response.text
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(content)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def many(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabSite]:
    """A site with many servers, each of which has been probed, with a deep look."""
    folder, notary = tmp_path_factory.mktemp("many"), MANY[0].server_name
    async with lab_site(folder, *MANY, first_round=0.01, notaries=[notary]) as site:
        await until(lambda: all(rendered.state.report for rendered in site.app.board.snapshot().states))
        yield site


PATHS = ("/api/v1/report", "/api/report", "/api/federation-ok")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("server", MANY, ids=lambda server: server.server_name)
@pytest.mark.asyncio(loop_scope="module")
async def test_responses_match_their_schema(many: LabSite, path: str, server: Any) -> None:
    """The servers are healthy or broken in many ways."""
    response = await many.get(path, server_name=server.server_name)
    assert response.status_code == 200
    validate(response)


@pytest.mark.parametrize("parameter", ["server_name", "target"])
async def test_refusals_match_their_schema(tmp_path: Path, parameter: str) -> None:
    """Every path is tested with every status."""
    settings = {"interval": "1y", "timeout": "20s", "concurrency": 1}
    seen = set()
    async with lab_site(tmp_path, SILENT, HEALTHY, servers=[SILENT.server_name], probe=settings) as site:
        for path in DOCUMENT["paths"]:
            if parameter == DOCUMENT["paths"][path]["get"]["parameters"][0]["name"]:
                seen |= {(path, response.status_code) async for response in refusals(site, path, parameter)}
    paths = [path for path, item in DOCUMENT["paths"].items() if item["get"]["parameters"][0]["name"] == parameter]
    refused = {(path, status) for path, status in seen if status != 200}  # an invalid name is none for some paths
    assert refused == {(path, status) for path in paths for status in openapi.REFUSALS}


async def refusals(site: LabSite, path: str, parameter: str) -> AsyncIterator[httpx.Response]:
    """Yield a response of each status."""
    watched, unknown = {parameter: SILENT.server_name, "fresh": "true"}, {parameter: HEALTHY.server_name}
    yield await requested(site, path, {})
    yield await requested(site, path, {**watched, "fresh": "perhaps"})
    yield await requested(site, path, unknown)
    with changed(site, web=WebSettings(probe_any=True)):
        while not site.app.queries.limit.take():
            pass
        yield await requested(site, path, unknown)
    busy = asyncio.create_task(site.app._runner.run_scheduled(names.parse(SILENT.server_name)))
    await asyncio.sleep(0)
    with changed(site, probe=ProbeSettings(timeout=0.1)):
        yield await requested(site, path, watched)
    busy.cancel()
    site.app._runner._stopping = True
    yield await requested(site, path, watched)
    site.app._runner._stopping = False


@contextmanager
def changed(site: LabSite, **sections: Any) -> Iterator[None]:
    """Change the configuration, as a reload does, and change it back."""
    before = site.app._active
    site.app._active = replace(before, config=replace(before.config, **sections))
    yield
    site.app._active = before


async def requested(
    site: LabSite, path: str, parameters: dict[str, str], headers: dict[str, str] | None = None
) -> httpx.Response:
    response = await site.client.get(path, params=parameters, headers=headers)
    validate(response)
    return response


def test_the_paths_that_all_sites_may_read_have_preflight_requests() -> None:
    """No other path has."""
    assert {path for path, item in DOCUMENT["paths"].items() if "options" in item} == tester.OPEN_PATHS


async def test_the_document_is_served(tmp_path: Path) -> None:
    """It is the same as in docs/, and its schemas are valid."""
    async with lab_site(tmp_path, HEALTHY) as site:
        response = await site.client.get("/api/openapi.json")
    assert response.json() == DOCUMENT
    assert json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text()) == DOCUMENT
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", [*DOCUMENT["paths"], "/api/openapi.json"])
async def test_responses_are_not_cached_and_not_interpreted(tmp_path: Path, path: str) -> None:
    """They are only true at this moment, and contain text of remote servers."""
    async with lab_site(tmp_path, HEALTHY) as site:
        response = await site.client.get(
            path, params={"server_name": HEALTHY.server_name, "target": HEALTHY.server_name}
        )
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
