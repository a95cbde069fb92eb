"""Looks at the other direction, over real sockets: the servers of the embedded federation connect to the listener."""

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS
from exporter.demo.servers import LabServer
from exporter.judging import verdict
from exporter.judging.verdict import Federation as Grade
from exporter.model.enums import IPFamily, OutboundMethod, Stage
from exporter.model.findings import CameBack
from exporter.model.outcomes import Passed, found
from exporter.model.report import OutboundLook, Report
from tests.outbound.both_ways import OWN_NAME, both_ways


def outbound(report: Report) -> OutboundLook:
    assert report.outbound is not None
    return report.outbound


def problems(report: Report) -> set[tuple[Stage, str]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


@pytest.mark.parametrize("server", BOTH_WAYS_SERVERS, ids=lambda server: server.server_name)
async def test_each_server_of_the_demo_is_seen_for_what_it_is(server: LabServer, tmp_path: Path) -> None:
    """Exactly the stage `outbound` fails, for the right reason, although every other stage passes."""
    async with both_ways([server], tmp_path) as running:
        assert await running.check()
        report = await running.look_at(server.server_name)
        report = replace(await running.prober.run_deep_look(report), outbound=report.outbound)
    assert problems(report) == server.expected
    assert verdict.federates(report)
    assert verdict.federation(report) is (Grade.FULL if server.healthy else Grade.PARTIAL)


@pytest.mark.parametrize(
    ("server_name", "method"),
    [
        ("both-ways.lab.test", OutboundMethod.ALIAS),
        ("notary-way.lab.test", OutboundMethod.NOTARY),
        ("signed-way.lab.test", OutboundMethod.SIGNED),
    ],
)
async def test_the_best_method_that_a_server_supports_is_found(
    server_name: str, method: OutboundMethod, tmp_path: Path
) -> None:
    """It is remembered: after that, no server gets more than two requests in an interval."""
    (server,) = (each for each in BOTH_WAYS_SERVERS if each.server_name == server_name)
    async with both_ways([server], tmp_path) as running:
        assert await running.check()
        for _ in OutboundMethod:  # a method that is not supported takes one of the two requests
            report = await running.look_at(server_name)
        before = list(running.federation.server(server_name).listener.requests)
        latest = await running.look_at(server_name)
        sent = list(running.federation.server(server_name).listener.requests)[len(before) :]
    assert found(outbound(report).outcome) == CameBack(method, IPFamily.IPV4)
    assert isinstance(outbound(latest).outcome, Passed)
    asked = [
        request.path for request in sent if "/version" not in request.path and "/key/v2/server" not in request.path
    ]
    assert len(asked) <= 2


async def test_nobody_is_blamed_before_the_own_listener_was_reached(tmp_path: Path) -> None:
    """Nothing is even sent."""
    (server,) = (each for each in BOTH_WAYS_SERVERS if each.server_name == "no-egress.lab.test")
    async with both_ways([server], tmp_path) as running:
        report = await running.look_at(server.server_name)
        assert running.checked == [(OWN_NAME, False)]
    assert problems(report) == set()
    assert not outbound(report).asked
    assert outbound(report).inconclusive_because == "the exporter has not reached its own listener yet"
