"""When an outage explains the failures in a report, with a prober whose checks find what a test sets."""

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

SUCCESS = replace(delegated_by_well_known(), seconds=0.0)
SILENT = replace(
    SUCCESS, endpoints=(EndpointReport(MATRIX_ENDPOINT, Failed(0.0, (Problem(Reason.CONNECT_TIMEOUT, "no answer"),))),)
)
HALF_SILENT = replace(SUCCESS, endpoints=(*SUCCESS.endpoints, *SILENT.endpoints))
DNS_SILENT = replace(SUCCESS, dns=Failed(0.0, (Problem(Reason.DNS_TIMEOUT, "no answer"),)), endpoints=())


@dataclass
class FakeProber:
    """A check finds the outage `down`, once `may_end` is set. `checks` has the `check_dns` of each check."""

    down: Outage | None = None
    checks: list[bool] = field(default_factory=list)
    witnesses: Sequence[Target] = ()
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def find_outage(self, witnesses: Sequence[Target], *, check_dns: bool) -> Outage | None:
        self.checks.append(check_dns)
        self.witnesses = witnesses
        await self.may_end.wait()
        return self.down


@asynccontextmanager
async def detecting(
    down: Outage | None, board: Board | None = None
) -> AsyncIterator[tuple[OutageDetector, FakeProber, ExporterMetrics]]:
    prober: Any = FakeProber(down)
    prober.may_end.set()
    exporter_metrics = ExporterMetrics()
    detector = OutageDetector(board or board_of([]), exporter_metrics, prober)
    yield detector, prober, exporter_metrics
    await detector.close()
    assert leaked_tasks() == set()


def up_metric(exporter_metrics: ExporterMetrics) -> float | None:
    return exporter_metrics.registry.get_sample_value(
        "matrix_federation_exporter_connectivity_up", {"group": "default"}
    )


async def test_a_silent_failure_is_explained_by_nothing_if_the_network_is_up() -> None:
    """A check is made. It includes DNS only if lookups have failed."""
    async with detecting(None) as (detector, prober, exporter_metrics):
        assert not await detector.explains(SILENT)
        assert not await detector.explains(DNS_SILENT)
        assert (prober.checks, up_metric(exporter_metrics)) == ([False, True], 1)


async def test_an_outage_explains_silent_failures() -> None:
    """Until it ends, no probe causes another check. It is logged once."""
    async with detecting(Outage.RESOLVER) as (detector, prober, exporter_metrics):
        with capture_logs() as logged:
            assert [await detector.explains(DNS_SILENT) for _ in range(3)] == [True] * 3
        assert (prober.checks, up_metric(exporter_metrics), detector.outage) == ([True], 0, Outage.RESOLVER)
    assert [entry["because"] for entry in logged] == ["no DNS resolver answers"]


@pytest.mark.parametrize("report", [SUCCESS, HALF_SILENT, expired_certificate()])
async def test_an_outage_does_not_explain_a_response(report: Report) -> None:
    """A response, good or bad, is always attributed to its server."""
    async with detecting(Outage.NETWORK) as (detector, _, _):
        assert await detector.explains(SILENT)
        assert not await detector.explains(report)


async def test_a_recent_success_shows_that_the_network_is_up() -> None:
    """So a list with many healthy servers needs no checks. A success that began earlier shows nothing."""
    async with detecting(Outage.NETWORK) as (detector, prober, _):
        await detector.explains(SUCCESS)
        assert not await detector.explains(replace(SILENT, seconds=10.0))
        assert prober.checks == []
        await asyncio.sleep(0.01)
        assert await detector.explains(SILENT)
        assert prober.checks == [False]


async def test_a_success_long_before_the_failure_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outage may have begun since, even if the probe that failed began before the success."""
    monkeypatch.setattr(outage, "FRESH_SECONDS", 0.01)
    async with detecting(Outage.NETWORK) as (detector, _, _):
        await detector.explains(SUCCESS)
        await asyncio.sleep(0.02)
        assert await detector.explains(replace(SILENT, seconds=10.0))


async def test_one_check_serves_many_probes() -> None:
    """A probe that ends while a check runs waits for the next check, which serves all that wait for it."""
    async with detecting(None) as (detector, prober, _):
        prober.may_end.clear()
        first = asyncio.create_task(detector.explains(DNS_SILENT))
        await until(lambda: prober.checks)
        more = [asyncio.create_task(detector.explains(DNS_SILENT)) for _ in range(20)]
        await asyncio.sleep(0.01)
        prober.may_end.set()
        assert not any(await asyncio.gather(first, *more))
        assert len(prober.checks) == 2


async def test_a_success_that_began_during_the_outage_ends_it() -> None:
    """One that began before the outage may have used the network before."""
    async with detecting(Outage.NETWORK) as (detector, _, exporter_metrics):
        assert await detector.explains(SILENT)
        await detector.explains(replace(SUCCESS, seconds=60.0))
        assert up_metric(exporter_metrics) == 0
        await asyncio.sleep(0.01)
        await detector.explains(SUCCESS)
        assert up_metric(exporter_metrics) == 1


async def test_an_outage_explains_failures_of_probes_that_began_before_its_end() -> None:
    """Their lookups may have failed long before they ended. Failures of later probes are explained by nothing."""
    async with detecting(Outage.NETWORK) as (detector, prober, _):
        assert await detector.explains(SILENT)
        await asyncio.sleep(0.01)
        await detector.explains(SUCCESS)
        prober.down = None
        assert await detector.explains(replace(SILENT, seconds=10.0))
        assert not await detector.explains(SILENT)


async def test_an_outage_explains_failures_that_waited_for_a_check_until_its_end() -> None:
    """The outage is detected and ends while other probes wait for their check."""
    async with detecting(Outage.NETWORK) as (detector, prober, _):
        prober.may_end.clear()
        first = asyncio.create_task(detector.explains(SILENT))
        await until(lambda: prober.checks)
        more = [asyncio.create_task(detector.explains(DNS_SILENT)) for _ in range(5)]
        await asyncio.sleep(0.01)
        prober.may_end.set()
        assert await first
        prober.down = None
        await detector.explains(SUCCESS)
        assert detector.outage is None
        assert await asyncio.gather(*more) == [True] * 5


async def test_a_check_of_the_resolver_does_not_wait_for_a_check_of_the_witnesses() -> None:
    """The latter takes seconds, after which the outage may have ended."""
    async with detecting(Outage.RESOLVER) as (detector, prober, _):
        prober.may_end.clear()
        silent = asyncio.create_task(detector.explains(SILENT))
        await until(lambda: prober.checks == [False])
        lookups_fail = asyncio.create_task(detector.explains(DNS_SILENT))
        await until(lambda: prober.checks == [False, True])
        prober.may_end.set()
        assert all(await asyncio.gather(silent, lookups_fail))


async def test_a_check_that_contacts_nobody_shows_nothing() -> None:
    """A check without witnesses and without DNS does not show that the resolver responds."""
    async with detecting(None) as (detector, prober, _):
        prober.may_end.clear()
        first = asyncio.create_task(detector.explains(SILENT))
        await until(lambda: prober.checks)
        more = asyncio.create_task(detector.explains(SILENT))
        lookups_fail = asyncio.create_task(detector.explains(DNS_SILENT))
        await asyncio.sleep(0.01)
        prober.may_end.set()
        await asyncio.gather(first, more, lookups_fail)
        assert prober.checks == [False, True]


async def test_the_kind_of_outage_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver responds again, but no witness does."""
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.01)
    async with detecting(Outage.RESOLVER) as (detector, prober, _):
        assert await detector.explains(DNS_SILENT)
        prober.down = Outage.NETWORK
        await until(lambda: detector.outage is Outage.NETWORK)
        assert prober.checks[:2] == [True, True]


async def test_regular_checks_end_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made however rarely servers are probed."""
    monkeypatch.setattr(outage, "RECHECK_SECONDS", 0.01)
    async with detecting(Outage.NETWORK) as (detector, prober, exporter_metrics):
        assert await detector.explains(SILENT)
        await until(lambda: len(prober.checks) > 3)
        assert up_metric(exporter_metrics) == 0
        prober.down = None
        await until(lambda: up_metric(exporter_metrics) == 1)
        assert not await detector.explains(SILENT)


async def test_a_success_during_a_check_refutes_the_check() -> None:
    """The timeout of the check may have been too short."""
    async with detecting(Outage.NETWORK) as (detector, prober, exporter_metrics):
        prober.may_end.clear()
        failing = asyncio.create_task(detector.explains(SILENT))
        await until(lambda: prober.checks)
        await asyncio.sleep(0.01)
        await detector.explains(SUCCESS)
        prober.may_end.set()
        assert not await failing
        assert up_metric(exporter_metrics) == 1


async def test_one_task_rechecks_however_many_outages_there_are() -> None:
    """The network may go down and come back quickly."""
    async with detecting(Outage.NETWORK) as (detector, _, _):
        for _ in range(3):
            await detector.explains(SUCCESS)
            await asyncio.sleep(0.01)
            assert await detector.explains(SILENT)
            await asyncio.sleep(0.01)
        assert len(leaked_tasks()) == 1


async def test_repr_shows_the_outage() -> None:
    async with detecting(Outage.NETWORK) as (detector, _, _):
        assert repr(detector) == "<OutageDetector: up>"
        await detector.explains(SILENT)
        assert repr(detector) == f"<OutageDetector: down, {Outage.NETWORK.value}>"


# ---------------------------------------------------------------- witnesses


def healthy_state(server_name: str, *ips: str) -> ServerState:
    endpoints = (healthy(Endpoint(Target(server_name, 8448), ip_address(ip)), tls_session(server_name)) for ip in ips)
    report = replace(SUCCESS, server_name=names.parse(server_name), endpoints=tuple(endpoints))
    return ServerState(watched_server(server_name)).with_report(report)


def test_each_witness_is_in_another_network() -> None:
    """A provider may fail as a whole. No server is a witness twice."""
    neighbours = [healthy_state(f"{number}.test", f"192.0.2.{number}") for number in range(1, 9)]
    many = healthy_state("many.test", "198.51.100.1", "203.0.113.1", "2001:db8::1")
    assert choose_witnesses([*neighbours, many]) == ()
    chosen = choose_witnesses([*neighbours, many, healthy_state("six.test", "2001:db8::6")])
    assert chosen == tuple(Target(name, 8448) for name in ("1.test", "many.test", "six.test"))
    assert len(chosen) == MIN_WITNESSES


def test_witnesses_were_healthy_at_their_latest_probe() -> None:
    """A server that was down before proves nothing. Probes during an outage do not count."""
    states = [healthy_state(f"{number}.test", f"10.{number}.0.1") for number in range(1, 4)]
    offline = [state.with_report(replace(DNS_SILENT, exporter_offline=True)) for state in states]
    assert len(choose_witnesses(offline)) == MIN_WITNESSES
    failed = states[0].with_report(DNS_SILENT)
    assert choose_witnesses([failed, *states[1:], ServerState(watched_server("new.test"))]) == ()


async def test_witnesses_are_chosen_from_the_board() -> None:
    states = [healthy_state(f"{number}.test", f"10.{number}.0.1") for number in range(1, 20)]
    board = board_of([each.watched for each in states], *(each.report for each in states if each.report))
    async with detecting(None, board) as (detector, prober, _):
        await detector.explains(SILENT)
    assert len(set(prober.witnesses)) == MAX_WITNESSES


@pytest.mark.parametrize(
    ("report", "proven"),
    [
        (SUCCESS, True),
        (SILENT, False),
        (expired_certificate(), False),
        (healthy_state("192.0.2.1", "192.0.2.1").report, False),
    ],
)
def test_a_healthy_server_with_a_name_proves_the_network(report: Report, *, proven: bool) -> None:
    """An IP address proves nothing about the resolver."""
    assert proves_network(report) is proven


# ---------------------------------------------------------------- the server state


def test_every_probe_is_a_success_a_failure_or_neither() -> None:
    """A probe during an outage is neither, and changes nothing but the number of probes and the history."""
    state = ServerState(watched_server("example.org"))
    reports = [
        SUCCESS,
        SILENT,
        replace(SILENT, exporter_offline=True),
        DNS_SILENT,
        replace(DNS_SILENT, exporter_offline=True),
        SUCCESS,
    ]
    for minutes, report in enumerate(reports):
        later = replace(report, ended_at=ENDED_AT + timedelta(minutes=minutes))
        before, state = state, state.with_report(later)
        if report.exporter_offline:
            assert replace(state, probes=before.probes, history=before.history) == before
        assert state.exporter_offline is report.exporter_offline
    assert (state.probes, state.failures) == (6, 2)
    assert [result.exporter_offline for result in state.history] == [False, True, False, True, False, False]
    assert len(state.last_failures) == state.failures
