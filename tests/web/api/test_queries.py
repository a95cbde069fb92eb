"""Queries about one server: their parameters, and which of them are refused."""

import asyncio
import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from exporter.config import Config, ProbeSettings, WebSettings
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Passed
from exporter.model.report import Report
from exporter.reports.server_state import ServerState
from exporter.runtime.rate_limit import RateLimit, RateLimits
from exporter.scheduling.single_flight import DeadlineExceededError, ShuttingDownError
from exporter.web import connection
from exporter.web.api import queries
from exporter.web.api.queries import RefusedError, ReportQueries, parse_flag, parse_server_name
from tests.sample_reports import delegated_by_well_known, watched_server
from tests.scrapes import board_of
from tests.waiting import leaked_tasks, until
from tests.web.clients import REQUEST, crowd
from tests.web.lab_site import HEALTHY, SILENT, lab_site

WATCHED, OTHER = names.parse("example.org"), names.parse("other.example.org")


def request(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


@dataclass
class FakeRunner:
    """Returns the same state for every probe, or raises an error."""

    error: Exception | None = None
    offline: bool = False
    probes: list[tuple[ServerName, float]] = field(default_factory=list)
    deep_looks: list[Report] = field(default_factory=list)

    async def probe_now(self, name: ServerName, seconds: float) -> ServerState:
        self.probes.append((name, seconds))
        if self.error:
            raise self.error
        state = ServerState(watched_server(name.text)).with_report(delegated_by_well_known(name.text))
        if not self.offline:
            return state
        return state.with_report(replace(delegated_by_well_known(name.text), endpoints=(), exporter_offline=True))

    async def look_deeper(self, report: Report, _: float) -> Report:
        self.deep_looks.append(report)
        return report


def queries_with(
    runner: FakeRunner, *, probe_any: bool = False, timeout: float = 30.0, reported: bool = True
) -> ReportQueries:
    """Return queries about a board that watches one server."""
    reports = [delegated_by_well_known(WATCHED.text)] if reported else []
    config = Config(probe=ProbeSettings(timeout=timeout), web=WebSettings(probe_any=probe_any))
    any_runner: Any = runner
    board = board_of([watched_server(WATCHED.text)], *reports)
    return ReportQueries(board, any_runner, lambda: config, lambda _: timeout, lambda name: name == WATCHED)


async def refusal_of(query: Any) -> RefusedError:
    with pytest.raises(RefusedError) as raised:
        await query
    return raised.value


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Expected one parameter target, found none: use ?target=example.org."),
        ("target=a.test&target=b.test", "Expected one parameter target, found 2: use ?target=example.org."),
        ("target=", "'' is not a server name: the host is empty."),
        ("target=https://a.test/", "'https://a.test/' is not a server name: "),
        (f"target={'a' * 3000}", f"'{'a' * 99}…' is not a server name: the host has 3000 characters, at most 255 are"),
        ("target=%1b[31m", "'\N{REPLACEMENT CHARACTER}[31m' is not a server name: only letters,"),
    ],
)
def test_an_invalid_server_name_is_refused(query: str, sentence: str) -> None:
    """The sentence is bounded and printable."""
    with pytest.raises(RefusedError) as raised:
        parse_server_name(request(query), "target")
    assert raised.value.status == 400
    assert raised.value.sentence.startswith(sentence)


@pytest.mark.parametrize(("query", "value"), [("", False), ("debug=true", True), ("debug=false", False)])
def test_a_flag_is_false_by_default(query: str, value: bool) -> None:  # noqa: FBT001 - a case
    """Its values are `true` and `false`."""
    assert parse_flag(request(query), "debug") is value


@pytest.mark.parametrize(
    ("query", "found"), [("debug=1", "1"), ("debug=true&debug=true", "true, true"), ("debug=", "nothing")]
)
def test_an_invalid_flag_is_refused(query: str, found: str) -> None:
    """A flag that is given twice is invalid too."""
    with pytest.raises(RefusedError) as raised:
        parse_flag(request(query), "debug")
    assert (raised.value.status, raised.value.sentence) == (
        400,
        f"Expected debug=true or debug=false, found {found}.",
    )


# ---------------------------------------------------------------- watched servers


async def test_the_latest_state_needs_no_probe() -> None:
    """It is the state on the board."""
    runner = FakeRunner()
    found = queries_with(runner)
    assert await found.latest(WATCHED) == found.board.state(WATCHED)
    assert runner.probes == []


async def test_before_the_first_probe_there_is_no_report() -> None:
    """The client may try again after a minute."""
    refused = await refusal_of(queries_with(FakeRunner(), reported=False).latest(WATCHED))
    assert (refused.status, refused.headers) == (503, {"Retry-After": "60"})
    assert refused.sentence == f"{WATCHED} has not been probed yet: try again in a minute, or use fresh=true."


@pytest.mark.parametrize(
    ("requested", "configured", "expected"),
    [(math.inf, 30.0, 30.0), (5.0, 30.0, 5.0), (math.inf, 600.0, 60.0)],
)
async def test_a_probe_has_the_shortest_of_three_times(requested: float, configured: float, expected: float) -> None:
    """They are the time of the request, `probe.timeout`, and what a connection allows."""
    runner = FakeRunner()
    await queries_with(runner, timeout=configured).probe_now(WATCHED, requested)
    assert runner.probes == [(WATCHED, expected)]
    assert queries.MAX_PROBE_SECONDS < connection.RESPONSE_SECONDS


@pytest.mark.parametrize(
    ("runner", "status", "sentence"),
    [
        (FakeRunner(DeadlineExceededError()), 504, "example.org was not probed in time: "),
        (FakeRunner(ShuttingDownError()), 503, "The exporter is stopping."),
        (FakeRunner(offline=True), 503, "The exporter's own network is down, so it cannot probe example.org: "),
    ],
    ids=["too late", "stopping", "offline"],
)
async def test_a_probe_without_a_result_is_refused(runner: FakeRunner, status: int, sentence: str) -> None:
    """The sentence says why, and the request is not pending any more."""
    found = queries_with(runner)
    refused = await refusal_of(found.probe_now(WATCHED))
    assert refused.status == status
    assert refused.sentence.startswith(sentence)
    assert found.pending == 0


async def test_requests_that_wait_for_probes_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further requests are refused immediately, so that there are always connections for scrapes."""
    assert queries.MAX_PENDING < connection.MAX_CONNECTIONS
    monkeypatch.setattr(queries, "MAX_PENDING", 2)
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        probe = REQUEST % b"/probe?target=%s" % SILENT.server_name.encode()
        async with crowd(site.app.addresses[0], probe, 2):
            await until(lambda: site.app.queries.pending == 2)
            response = await site.get("/probe", target=SILENT.server_name)
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert response.text == "2 requests are already waiting for probes: try again.\n"


async def test_pending_requests_are_refused_when_the_exporter_stops(tmp_path: Path) -> None:
    """New requests are refused too, and no task is left."""
    async with lab_site(tmp_path, SILENT, probe={"interval": "1y", "timeout": "1m"}) as site:
        pending = asyncio.create_task(site.get("/probe", target=SILENT.server_name))
        await until(lambda: site.federation.dns.questions)
        await site.app._runner.__aexit__()
        response = await pending
        assert (response.status_code, response.text) == (503, "The exporter is stopping.\n")
        assert (await site.get("/probe", target=SILENT.server_name)).status_code == 503
    assert leaked_tasks() == set()


# ---------------------------------------------------------------- limits of fresh probes

SHARDED = names.parse("elsewhere.example.org")


def limited_queries(runner: FakeRunner, clock: list[float], *, all_burst: int = 1000) -> ReportQueries:
    """Return queries with a recent result of one watched server, and another shard's server, in simulated time."""
    found = queries_with(runner)
    found.board.put(replace(delegated_by_well_known(WATCHED.text), ended_at=datetime.now(UTC)))
    found.is_configured = lambda name: name in (SHARDED, WATCHED)
    limit = partial(RateLimit, clock=lambda: clock[0])
    found.fresh_limit = RateLimits(
        partial(limit, queries._FRESH_PER_MINUTE, queries._FRESH_BURST), limit(queries._ALL_FRESH_PER_MINUTE, all_burst)
    )
    return found


async def test_beyond_the_limit_of_a_server_the_answer_is_its_recent_result() -> None:
    """However often it is requested, it is probed 20 times a minute."""
    runner, clock = FakeRunner(), [0.0]
    found = limited_queries(runner, clock)
    for _ in range(600):
        assert (await found.probe_now(WATCHED)).report
        clock[0] += 0.1
    assert len(runner.probes) == queries._FRESH_BURST + queries._FRESH_PER_MINUTE - 1


async def test_beyond_the_limit_of_all_servers_the_answer_is_a_recent_result() -> None:
    """A client cannot keep the exporter busy with requests for different servers."""
    runner, clock = FakeRunner(), [0.0]
    found = limited_queries(runner, clock, all_burst=2)
    assert [await found.probe_now(SHARDED) for _ in range(2)]
    assert await found.probe_now(WATCHED) == found.board.state(WATCHED)
    assert [name for name, _ in runner.probes] == [SHARDED, SHARDED]


async def test_beyond_the_limit_without_a_recent_result_the_status_is_429() -> None:
    """The client may try again as soon as a probe is allowed."""
    found = limited_queries(FakeRunner(), [0.0])
    for _ in range(queries._FRESH_BURST):
        await found.probe_now(SHARDED)
    refused = await refusal_of(found.probe_now(SHARDED))
    assert (refused.status, refused.headers) == (429, {"Retry-After": "3"})
    found.board.put(delegated_by_well_known(WATCHED.text))  # with a date long ago
    for _ in range(queries._FRESH_BURST):
        await found.probe_now(WATCHED)
    assert (await refusal_of(found.probe_now(WATCHED))).status == 429


async def test_several_prometheus_servers_get_a_fresh_probe_every_time() -> None:
    """Four of them scrape every 15 seconds, and their first scrapes coincide with requests of people."""
    runner, clock = FakeRunner(), [0.0]
    found = limited_queries(runner, clock)
    for _ in range(6):
        await found.probe_now(WATCHED)
    for _ in range(40):
        for _ in range(4):
            await found.probe_now(WATCHED)
        clock[0] += 15
    assert len(runner.probes) == 6 + 40 * 4


async def test_a_client_in_a_loop_gets_results_and_the_server_is_left_in_peace(tmp_path: Path) -> None:
    """Neither /probe nor a fresh report lets a client contact a server as often as it likes."""
    async with lab_site(tmp_path, HEALTHY) as site:
        for _ in range(30):
            probed = await site.get_probed("/probe", target=HEALTHY.server_name)
            reported = await site.get_probed("/api/v1/report", server_name=HEALTHY.server_name, fresh="true")
            assert (probed.status_code, reported.status_code) == (200, 200)
        assert f'matrix_federation_probe_success{{server_name="{HEALTHY.server_name}"}} 1.0\n' in probed.text
        assert queries._FRESH_BURST <= site.probes(HEALTHY) < 60


async def test_deep_looks_on_request_are_limited_too() -> None:
    """Beyond the limit, the public tester's format lacks the keys behind a bad certificate."""
    report = delegated_by_well_known(WATCHED.text)
    endpoint = report.endpoints[0]
    assert isinstance(endpoint.tls, Passed)
    bad = replace(endpoint.tls.found, certificate=replace(endpoint.tls.found.certificate, valid=False))
    lacking = replace(report, endpoints=(replace(endpoint, tls=Failed(0.1, (), bad)),))
    runner = FakeRunner()
    found = limited_queries(runner, [0.0])
    for _ in range(queries._FRESH_BURST + 5):
        assert await found.add_keys_behind_bad_certificates(lacking) is lacking
    assert len(runner.deep_looks) == queries._FRESH_BURST


# ---------------------------------------------------------------- servers that are not watched


async def test_only_watched_servers_are_probed_by_default() -> None:
    """Otherwise anyone who can reach the exporter could make it connect anywhere."""
    runner = FakeRunner()
    refused = await refusal_of(queries_with(runner).latest(OTHER))
    assert (refused.status, runner.probes) == (404, [])
    assert refused.sentence == f"{OTHER} is not watched: add it to `servers`, or set `web.probe_any: true`."


async def test_any_server_is_probed_if_that_is_allowed() -> None:
    """There is no state for it, so every query is a probe."""
    runner = FakeRunner()
    found = queries_with(runner, probe_any=True)
    for _ in range(2):
        assert (await found.latest(OTHER)).watched.server_name == OTHER
    assert len(runner.probes) == 2
    assert found.board.state(OTHER) is None


async def test_probes_of_unwatched_servers_are_limited() -> None:
    """Probes of watched servers are not."""
    now = [0.0]
    found = queries_with(FakeRunner(), probe_any=True)
    found.limit = RateLimit(per_minute=10, burst=2, clock=lambda: now[0])
    for _ in range(2):
        await found.probe_now(OTHER)
    refused = await refusal_of(found.probe_now(OTHER))
    assert (refused.status, refused.headers) == (429, {"Retry-After": "6"})
    await found.probe_now(WATCHED)
    now[0] = 6.0
    await found.probe_now(OTHER)


async def test_servers_of_other_shards_are_probed_too() -> None:
    """Clients do not have to know which shard watches a server. A server that no shard watches is refused."""
    runner = FakeRunner()
    found = queries_with(runner)
    found.is_configured = lambda name: name == OTHER
    await found.probe_now(OTHER)
    assert [name for name, _ in runner.probes] == [OTHER]
    assert (await refusal_of(found.probe_now(names.parse("third.example.org")))).status == 404


def test_repr_shows_the_pending_requests() -> None:
    """It does not contain the whole board."""
    shown = repr(queries_with(FakeRunner()))
    assert shown.endswith("pending=0)")
    assert "example.org" not in shown
