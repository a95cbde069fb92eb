"""Looks at the other direction, over real sockets: the servers of the embedded federation connect to the listener."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS, decode_paths, strip_authorization
from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Request, Response, Site
from exporter.demo.servers import LabServer, Proxy, federates, pass_through
from exporter.judging import peers, verdict
from exporter.judging.verdict import Federation as Grade
from exporter.model import names
from exporter.model.enums import IPFamily, OutboundMethod, Stage
from exporter.model.findings import CameBack
from exporter.model.outcomes import Passed, found
from exporter.model.reasons import Reason
from exporter.model.report import OutboundLook, Report
from tests.outbound.both_ways import OWN_NAME, both_ways


def outbound(report: Report) -> OutboundLook:
    assert report.outbound is not None
    return report.outbound


def problems(report: Report) -> set[tuple[Stage, str]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


@pytest.mark.parametrize("server", BOTH_WAYS_SERVERS, ids=lambda server: server.server_name)
async def test_each_server_of_the_demo_is_seen_for_what_it_is(server: LabServer, tmp_path: Path) -> None:
    """Exactly the stage `outbound` fails, for the right reason, although every other stage passes.

    Only where the Authorization header gets lost does no homeserver get through.
    """
    async with both_ways([server], tmp_path) as running:
        assert await running.check()
        report = await running.look_at(server.server_name)
        report = replace(await running.prober.run_deep_look(report), outbound=report.outbound)
    assert problems(report) == server.expected
    stripped = (Stage.OUTBOUND, Reason.AUTHORIZATION_STRIPPED) in server.expected
    assert verdict.federates(report) is not stripped
    assert verdict.federation(report) is (Grade.NONE if stripped else Grade.FULL if server.healthy else Grade.PARTIAL)


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


# ---------------------------------------------------------------- what a signed request settles for all homeservers

PROXIED = "both-ways.lab.test"


def lose_query(homeserver: Homeserver) -> Site:
    """A proxy that passes nothing of a request target on but its path."""

    async def forward(request: Request) -> Response:
        return await homeserver.respond(replace(request, target=request.target.partition("?")[0]))

    return Site(fallback=forward)


def behind(proxy: Proxy) -> LabServer:
    (server,) = (each for each in BOTH_WAYS_SERVERS if each.server_name == PROXIED)
    return replace(server, ports=dict.fromkeys(server.ports, federates(PROXIED, proxy=proxy)))


def stopping(report: Report) -> list[tuple[Stage, Reason]]:
    """Return what stops every homeserver."""
    located = [obstacle.problem for obstacle in peers.obstacles(report)]
    return [(each.stage, each.problem.reason) for each in located if each]


@pytest.mark.parametrize(
    ("proxy", "stops"),
    [
        (pass_through, [None, None, None]),
        (decode_paths, [None, None, None]),
        (lose_query, [None, Reason.SIGNATURE_REJECTED, Reason.SIGNATURE_REJECTED]),
        (strip_authorization, [Reason.AUTHORIZATION_STRIPPED] * 3),
    ],
)
async def test_a_proxy_that_stops_every_homeserver_is_told_from_one_that_lets_lookups_pass(
    proxy: Proxy, stops: list[Reason | None], tmp_path: Path
) -> None:
    """If a signed request arrives changed, the next look sends a signed lookup, and still no more than two requests."""
    async with both_ways([behind(proxy)], tmp_path) as running:
        assert await running.check()
        requests = running.federation.server(PROXIED).listener.requests
        for reason in stops:
            before = len(requests)
            report = await running.look_at(PROXIED)
            assert stopping(report) == ([(Stage.OUTBOUND, reason)] if reason else [])
            assert verdict.federates(report) is (reason is None)
            sent = [request.path for request in list(requests)[before:]]
            assert len([path for path in sent if not path.endswith(("/version", "/key/v2/server"))]) <= 2


async def test_check_sends_the_lookup_at_once(tmp_path: Path) -> None:
    async with both_ways([behind(lose_query)], tmp_path) as running:
        assert await running.check()
        report = await running.service.complete(await running.prober.probe(names.parse(PROXIED)))
    assert stopping(report) == [(Stage.OUTBOUND, Reason.SIGNATURE_REJECTED)]


async def test_what_a_signed_request_showed_holds_until_the_next_look(tmp_path: Path) -> None:
    """It is at most one interval old when a scheduled probe uses it. Without a look, nothing is known any more."""
    async with both_ways([behind(strip_authorization)], tmp_path) as running:
        assert await running.check()
        broken = await running.look_at(PROXIED)
        server = running.federation.server(PROXIED)
        server.listener.sites[PROXIED] = pass_through(server.homeserver)
        latest = await running.prober.probe(names.parse(PROXIED))
        kept = (await running.looks.add_if_due(latest, broken)).with_looks_from(broken)
        later = replace(latest, ended_at=latest.ended_at + timedelta(seconds=running.looks.interval))
        repaired = await running.looks.add_if_due(later, broken)
        running.looks.not_ready_because = "a firewall"
        unknown = (await running.looks.add_if_due(latest, broken)).with_looks_from(broken)
    assert [verdict.federates(each) for each in (broken, kept, repaired, unknown)] == [False, False, True, True]
