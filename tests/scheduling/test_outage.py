"""When the exporter believes what its probes report, over a prober that says whether the network is down."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.outcomes import Failed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import EndpointReport, Report
from exporter.probing.connectivity import Outage
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.scheduling import outage
from exporter.scheduling.outage import MAX_WITNESSES, MIN_WITNESSES, OutageDetector, choose_witnesses, proves_network
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_ENDPOINT,
    delegated_by_well_known,
    expired_certificate,
    healthy,
    tls_session,
    watched_server,
)
from tests.scrapes import board_of
from tests.waiting import leaked_tasks, until

WELL = replace(delegated_by_well_known(), seconds=0.0)
SILENT = replace(
    WELL, endpoints=(EndpointReport(MATRIX_ENDPOINT, Failed(0.0, (Problem(Reason.CONNECT_TIMEOUT, "no answer"),))),)
)
HALF_SILENT = replace(WELL, endpoints=(*WELL.endpoints, *SILENT.endpoints))
LOOKUPS_FAIL = replace(WELL, dns=Failed(0.0, (Problem(Reason.DNS_TIMEOUT, "no answer"),)), endpoints=())


@dataclass
class FakeProber:
    """Says what it is told of the network; `asked` holds whether each check was about DNS too."""

    down: Outage | None = None
    asked: list[bool] = field(default_factory=list)
    witnesses: Sequence[Target] = ()
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        self.asked.append(check_dns)
        self.witnesses = witnesses
        await self.may_end.wait()
        return self.down


@asynccontextmanager
async def seeing(
    down: Outage | None, board: Board | None = None
) -> AsyncIterator[tuple[OutageDetector, FakeProber, ExporterMetrics]]:
    prober: Any = FakeProber(down)
    prober.may_end.set()
    exporter_metrics = ExporterMetrics()
    looking = OutageDetector(board or board_of([]), exporter_metrics, lambda: prober)
    yield looking, prober, exporter_metrics
    await looking.close()
    assert leaked_tasks() == set()


def up(exporter_metrics: ExporterMetrics) -> float | None:
    return exporter_metrics.registry.get_sample_value("matrix_federation_exporter_connectivity_up")


async def test_silence_is_the_servers_where_the_network_is_up() -> None:
    """A check was made for it, about DNS only where lookups fail."""
    async with seeing(None) as (looking, prober, exporter_metrics):
        assert not await looking.explains(SILENT)
        assert not await looking.explains(LOOKUPS_FAIL)
        assert (prober.asked, up(exporter_metrics)) == ([False, True], 1)


async def test_silence_is_ours_where_the_network_is_down() -> None:
    """Until the network is back no further check is made for any probe, and all of it is told once."""
    async with seeing(Outage.RESOLVER) as (looking, prober, exporter_metrics):
        with capture_logs() as logged:
            assert [await looking.explains(LOOKUPS_FAIL) for _ in range(3)] == [True] * 3
        assert (prober.asked, up(exporter_metrics), looking.outage) == ([True], 0, Outage.RESOLVER)
    assert [entry["because"] for entry in logged] == ["no DNS resolver answers"]


@pytest.mark.parametrize("answered", [WELL, HALF_SILENT, expired_certificate()])
async def test_answers_are_believed_though_the_network_is_down(answered: Report) -> None:
    """Whatever a server said, good or bad, it said."""
    async with seeing(Outage.NETWORK) as (looking, _, _):
        assert await looking.explains(SILENT)
        assert not await looking.explains(answered)


async def test_somebody_who_answered_meanwhile_speaks_for_the_network() -> None:
    """So that a list with many healthy servers needs no checks; what began earlier says nothing."""
    async with seeing(Outage.NETWORK) as (looking, prober, _):
        await looking.explains(WELL)
        assert not await looking.explains(replace(SILENT, seconds=10.0))
        assert prober.asked == []
        await asyncio.sleep(0.01)
        assert await looking.explains(SILENT)
        assert prober.asked == [False]


async def test_an_answer_of_long_ago_does_not_speak_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the probe that is silent began before it: the network may have gone since."""
    monkeypatch.setattr(outage, "FRESH_SECONDS", 0.01)
    async with seeing(Outage.NETWORK) as (looking, _, _):
        await looking.explains(WELL)
        await asyncio.sleep(0.02)
        assert await looking.explains(replace(SILENT, seconds=10.0))


async def test_one_check_serves_many() -> None:
    """Those who come before it begins; whoever comes while one runs waits for the next."""
    async with seeing(None) as (looking, prober, _):
        prober.may_end.clear()
        first = asyncio.create_task(looking.explains(LOOKUPS_FAIL))
        await until(lambda: prober.asked)
        more = [asyncio.create_task(looking.explains(LOOKUPS_FAIL)) for _ in range(20)]
        await asyncio.sleep(0.01)
        prober.may_end.set()
        assert not any(await asyncio.gather(first, *more))
        assert len(prober.asked) == 2


async def test_sight_returns_by_a_probe_that_began_later() -> None:
    """One that began before the loss may have met the network as it was."""
    async with seeing(Outage.NETWORK) as (looking, _, exporter_metrics):
        assert await looking.explains(SILENT)
        await looking.explains(replace(WELL, seconds=60.0))
        assert up(exporter_metrics) == 0
        await asyncio.sleep(0.01)
        await looking.explains(WELL)
        assert up(exporter_metrics) == 1


async def test_a_probe_that_began_before_the_return_is_not_believed() -> None:
    """Its lookups may have failed long before its end; whatever begins later is."""
    async with seeing(Outage.NETWORK) as (looking, prober, _):
        assert await looking.explains(SILENT)
        await asyncio.sleep(0.01)
        await looking.explains(WELL)
        prober.down = None
        assert await looking.explains(replace(SILENT, seconds=10.0))
        assert not await looking.explains(SILENT)


async def test_who_waits_for_a_check_while_the_network_returns_is_not_believed() -> None:
    """The outage was found out, and is over, before those were heard who met it too."""
    async with seeing(Outage.NETWORK) as (looking, prober, _):
        prober.may_end.clear()
        first = asyncio.create_task(looking.explains(SILENT))
        await until(lambda: prober.asked)
        more = [asyncio.create_task(looking.explains(LOOKUPS_FAIL)) for _ in range(5)]
        await asyncio.sleep(0.01)
        prober.may_end.set()
        assert await first
        prober.down = None
        await looking.explains(WELL)
        assert looking.outage is None
        assert await asyncio.gather(*more) == [True] * 5


async def test_a_check_of_the_resolver_waits_for_no_other() -> None:
    """That of the witnesses takes seconds, after which the outage may be over."""
    async with seeing(Outage.RESOLVER) as (looking, prober, _):
        prober.may_end.clear()
        silent = asyncio.create_task(looking.explains(SILENT))
        await until(lambda: prober.asked == [False])
        lookups_fail = asyncio.create_task(looking.explains(LOOKUPS_FAIL))
        await until(lambda: prober.asked == [False, True])
        prober.may_end.set()
        assert all(await asyncio.gather(silent, lookups_fail))


async def test_who_asked_nobody_saw_nobody() -> None:
    """A check without witnesses, for a probe that needed no lookups, does not speak for the resolver."""
    async with seeing(None) as (looking, prober, _):
        prober.may_end.clear()
        first = asyncio.create_task(looking.explains(SILENT))
        await until(lambda: prober.asked)
        more = asyncio.create_task(looking.explains(SILENT))
        lookups_fail = asyncio.create_task(looking.explains(LOOKUPS_FAIL))
        await asyncio.sleep(0.01)
        prober.may_end.set()
        await asyncio.gather(first, more, lookups_fail)
        assert prober.asked == [False, True]


async def test_what_is_lost_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver is back, and yet nobody is reached."""
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.01)
    async with seeing(Outage.RESOLVER) as (looking, prober, _):
        assert await looking.explains(LOOKUPS_FAIL)
        prober.down = Outage.NETWORK
        await until(lambda: looking.outage is Outage.NETWORK)
        assert prober.asked[:2] == [True, True]


async def test_sight_returns_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """However rarely servers are probed; checks go on until then."""
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.01)
    async with seeing(Outage.NETWORK) as (looking, prober, exporter_metrics):
        assert await looking.explains(SILENT)
        await until(lambda: len(prober.asked) > 3)
        assert up(exporter_metrics) == 0
        prober.down = None
        await until(lambda: up(exporter_metrics) == 1)
        assert not await looking.explains(SILENT)


async def test_who_answers_during_the_check_refutes_it() -> None:
    """The check may have been too impatient."""
    async with seeing(Outage.NETWORK) as (looking, prober, exporter_metrics):
        prober.may_end.clear()
        failing = asyncio.create_task(looking.explains(SILENT))
        await until(lambda: prober.asked)
        await asyncio.sleep(0.01)
        await looking.explains(WELL)
        prober.may_end.set()
        assert not await failing
        assert up(exporter_metrics) == 1


async def test_a_second_loss_is_watched_as_the_first() -> None:
    """By one task, however quickly the network comes and goes."""
    async with seeing(Outage.NETWORK) as (looking, _, _):
        for _ in range(3):
            await looking.explains(WELL)
            await asyncio.sleep(0.01)
            assert await looking.explains(SILENT)
            await asyncio.sleep(0.01)
        assert len(leaked_tasks()) == 1


# ---------------------------------------------------------------- witnesses


def well(server_name: str, *ips: str) -> ServerState:
    endpoints = (healthy(Endpoint(Target(server_name, 8448), ip_address(ip)), tls_session(server_name)) for ip in ips)
    report = replace(WELL, server_name=names.parse(server_name), endpoints=tuple(endpoints))
    return ServerState(watched_server(server_name)).with_report(report)


def test_witnesses_are_of_different_networks() -> None:
    """One provider that fails takes all with it that are his; and no server is two of them."""
    neighbours = [well(f"{number}.test", f"192.0.2.{number}") for number in range(1, 9)]
    many = well("many.test", "198.51.100.1", "203.0.113.1", "2001:db8::1")
    assert choose_witnesses([*neighbours, many]) == ()
    chosen = choose_witnesses([*neighbours, many, well("six.test", "2001:db8::6")])
    assert chosen == tuple(Target(name, 8448) for name in ("1.test", "many.test", "six.test"))
    assert len(chosen) == MIN_WITNESSES


def test_witnesses_were_well() -> None:
    """When they were last seen: who failed before proves nothing, and what a blind probe met does not count."""
    states = [well(f"{number}.test", f"10.{number}.0.1") for number in range(1, 4)]
    blind = [state.with_report(replace(LOOKUPS_FAIL, exporter_offline=True)) for state in states]
    assert len(choose_witnesses(blind)) == MIN_WITNESSES
    failed = states[0].with_report(LOOKUPS_FAIL)
    assert choose_witnesses([failed, *states[1:], ServerState(watched_server("new.test"))]) == ()


async def test_witnesses_are_a_few_of_the_board() -> None:
    """Any of them."""
    states = [well(f"{number}.test", f"10.{number}.0.1") for number in range(1, 20)]
    board = board_of([each.watched for each in states], *(each.report for each in states if each.report))
    async with seeing(None, board) as (looking, prober, _):
        await looking.explains(SILENT)
    assert len(set(prober.witnesses)) == MAX_WITNESSES


@pytest.mark.parametrize(
    ("report", "shown"),
    [(WELL, True), (SILENT, False), (expired_certificate(), False), (well("192.0.2.1", "192.0.2.1").report, False)],
)
def test_what_shows_the_network(report: Report, shown: bool) -> None:  # noqa: FBT001 - one of the cases
    """A name that was looked up, and a server there: an IP address would say nothing about the resolver."""
    assert proves_network(report) is shown


# ---------------------------------------------------------------- what is remembered


def test_every_probe_is_counted_once() -> None:
    """As a success, a failure or neither; a blind one changes nothing else that is known."""
    state = ServerState(watched_server("example.org"))
    came = [
        WELL,
        SILENT,
        replace(SILENT, exporter_offline=True),
        LOOKUPS_FAIL,
        replace(LOOKUPS_FAIL, exporter_offline=True),
        WELL,
    ]
    for minutes, report in enumerate(came):
        later = replace(report, ended_at=ENDED_AT + timedelta(minutes=minutes))
        before, state = state, state.with_report(later)
        if report.exporter_offline:
            assert replace(state, probes=before.probes, history=before.history) == before
        assert state.exporter_offline is report.exporter_offline
    assert (state.probes, state.failures) == (6, 2)
    assert [result.exporter_offline for result in state.history] == [False, True, False, True, False, False]
    assert len(state.last_failures) == state.failures
