"""Looks at the other direction, over real sockets: the servers of the embedded federation connect to the listener."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from exporter.demo.both_ways.joining import BY_FAMILY, OWN_NAME
from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS, decode_paths, strip_authorization
from exporter.demo.homeserver import Homeserver, error
from exporter.demo.https_server import Request, Response, Site
from exporter.demo.servers import LabServer, Proxy, federates, pass_through
from exporter.judging import peers, verdict
from exporter.judging.verdict import Federation as Grade
from exporter.judging.warnings import WarningName, warnings
from exporter.model import names
from exporter.model.enums import IPFamily, OutboundMethod, Stage
from exporter.model.findings import CameBack
from exporter.model.outcomes import SKIPPED, Passed, found
from exporter.model.reasons import Reason
from exporter.model.report import OutboundLook, Report
from tests.outbound.both_ways import BothWays, both_ways

OF_FAMILIES = {WarningName.OUTBOUND_IPV4_BROKEN, WarningName.OUTBOUND_IPV6_BROKEN}
NO_FAMILIES: dict[str, str] = {}


def server_named(server_name: str) -> LabServer:
    (server,) = (each for each in BOTH_WAYS_SERVERS if each.server_name == server_name)
    return server


def outbound(report: Report) -> OutboundLook:
    assert report.outbound is not None
    return report.outbound


def problems(report: Report) -> set[tuple[Stage, str]]:
    return {(located.stage, located.problem.reason) for located in verdict.problems(report)}


def warned(report: Report) -> set[WarningName]:
    return {each.warning for each in warnings(report)}


def reached(report: Report) -> dict[IPFamily, bool | None]:
    """Over which IP families the server came; None where nothing shows that."""
    known = outbound(report).by_family.items()
    return {family: None if outcome is SKIPPED else isinstance(outcome, Passed) for family, outcome in known}


class Requests:
    """What a server was asked, but for what a probe asks too."""

    def __init__(self, running: BothWays, server_name: str) -> None:
        self._requests = running.federation.server(server_name).listener.requests
        self._seen = len(self._requests)

    def since(self) -> list[str]:
        """Return the paths of the requests since the last call, or since the beginning."""
        sent, self._seen = list(self._requests)[self._seen :], len(self._requests)
        paths = [request.path for request in sent]
        return [path for path in paths if "/version" not in path and not path.endswith("/key/v2/server")]


@pytest.mark.parametrize("by_family", [BY_FAMILY, NO_FAMILIES], ids=["two names", "one name"])
@pytest.mark.parametrize("server", BOTH_WAYS_SERVERS, ids=lambda server: server.server_name)
async def test_each_server_of_the_demo_is_seen_for_what_it_is(
    server: LabServer, by_family: dict[str, str], tmp_path: Path
) -> None:
    """Exactly the stage `outbound` fails, for the right reason, although every other stage passes.

    Only where the Authorization header gets lost does no homeserver get through.
    """
    async with both_ways([server], tmp_path, by_family=by_family) as running:
        assert await running.check()
        report = await running.look_at(server.server_name)
        report = await running.look_at(server.server_name, report)  # the first one may only find how to ask it
        report = replace(await running.prober.run_deep_look(report), outbound=report.outbound)
    assert problems(report) == server.expected
    assert warned(report) == (server.warnings if by_family else server.warnings - OF_FAMILIES)
    stripped = (Stage.OUTBOUND, Reason.AUTHORIZATION_STRIPPED) in server.expected
    assert verdict.federates(report) is not stripped
    assert verdict.federation(report) is (Grade.NONE if stripped else Grade.FULL if server.healthy else Grade.PARTIAL)


@pytest.mark.parametrize("by_family", [BY_FAMILY, NO_FAMILIES], ids=["two names", "one name"])
@pytest.mark.parametrize(
    ("server_name", "method"),
    [
        ("both-ways.lab.test", OutboundMethod.ALIAS),
        ("notary-way.lab.test", OutboundMethod.NOTARY),
        ("signed-way.lab.test", OutboundMethod.SIGNED),
    ],
)
async def test_the_best_method_that_a_server_supports_is_found(
    server_name: str, method: OutboundMethod, by_family: dict[str, str], tmp_path: Path
) -> None:
    """It is remembered: after that, no server gets more than two requests in an interval."""
    async with both_ways([server_named(server_name)], tmp_path, by_family=by_family) as running:
        assert await running.check()
        report = None
        for _ in OutboundMethod:  # a method that is not supported takes one of the two requests
            report = await running.look_at(server_name, report)
        requests = Requests(running, server_name)
        latest = await running.look_at(server_name, report)
        asked = requests.since()
    came = found(outbound(latest).outcome)
    assert came == CameBack(method, IPFamily.IPV6 if by_family else IPFamily.IPV4)
    assert reached(latest) == (dict.fromkeys(IPFamily, True) if by_family else {})
    assert len(asked) <= 2


async def test_nobody_is_blamed_before_the_own_listener_was_reached(tmp_path: Path) -> None:
    """Nothing is even sent."""
    server = server_named("no-egress.lab.test")
    async with both_ways([server], tmp_path) as running:
        report = await running.look_at(server.server_name)
        assert running.checked == [(name, False) for name in (OWN_NAME, BY_FAMILY["ipv6"], BY_FAMILY["ipv4"])]
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
    server = server_named(PROXIED)
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
        requests = Requests(running, PROXIED)
        for reason in stops:
            report = await running.look_at(PROXIED)
            assert stopping(report) == ([(Stage.OUTBOUND, reason)] if reason else [])
            assert verdict.federates(report) is (reason is None)
            assert len(requests.since()) <= 2


async def test_the_first_look_after_the_repair_of_a_proxy_makes_the_server_come_again(tmp_path: Path) -> None:
    """It does not rely on the signed request: a server that still has the exporter's keys does not fetch them."""
    repaired = False

    def decode_until_repaired(homeserver: Homeserver) -> Site:
        async def forward(request: Request) -> Response:
            target = request.target if repaired else unquote(request.target)
            return await homeserver.respond(replace(request, target=target))

        return Site(fallback=forward)

    async with both_ways([behind(decode_until_repaired)], tmp_path) as running:
        assert await running.check()
        rejected = await running.look_at(PROXIED)
        repaired = True
        passed = await running.look_at(PROXIED)
    assert problems(rejected) == {(Stage.OUTBOUND, Reason.SIGNATURE_REJECTED)}
    came_back = found(outbound(passed).outcome)
    assert came_back is not None
    assert came_back.method is OutboundMethod.ALIAS


async def test_check_sends_the_lookup_at_once(tmp_path: Path) -> None:
    async with both_ways([behind(lose_query)], tmp_path) as running:
        assert await running.check()
        report = await running.service.complete(running.network, await running.prober.probe(names.parse(PROXIED)))
    assert stopping(report) == [(Stage.OUTBOUND, Reason.SIGNATURE_REJECTED)]


async def test_what_a_signed_request_showed_holds_until_the_next_look(tmp_path: Path) -> None:
    """It is at most one interval old when a scheduled probe uses it. Without a look, nothing is known any more."""
    async with both_ways([behind(strip_authorization)], tmp_path) as running:
        assert await running.check()
        broken = await running.look_at(PROXIED)
        server = running.federation.server(PROXIED)
        server.listener.sites[PROXIED] = pass_through(server.homeserver)
        latest = await running.prober.probe(names.parse(PROXIED))
        kept = (await running.looks.add_if_due(running.network, latest, broken)).with_looks_from(broken)
        later = replace(latest, ended_at=latest.ended_at + timedelta(seconds=running.looks.interval))
        repaired = await running.looks.add_if_due(running.network, later, broken)
        running.looks.peers[0].obstacle = "a firewall"
        unknown = (await running.looks.add_if_due(running.network, latest, broken)).with_looks_from(broken)
    assert [verdict.federates(each) for each in (broken, kept, repaired, unknown)] == [False, False, True, True]


# ---------------------------------------------------------------- both IP families


def changed(server_name: str, **changes: object) -> LabServer:
    """Return a server of the demo whose requests to others go wrong in another way."""
    server = server_named(server_name)
    return replace(server, outgoing={**server.outgoing, **changes})


def reach(running: BothWays, server_name: str, families: Collection[IPFamily]) -> None:
    """Open and close the firewall of a server."""
    running.federation.server(server_name).homeserver.outgoing.reaches = families  # type: ignore[union-attr]


DUAL_STACK = changed("no-ipv6-egress.lab.test", reaches=set(IPFamily))
NAME = DUAL_STACK.server_name


async def test_a_family_that_breaks_is_named_in_the_next_look_and_so_is_its_repair(tmp_path: Path) -> None:
    """It takes two requests, one under each name. The stage fails only if both are broken."""
    async with both_ways([DUAL_STACK], tmp_path) as running:
        assert await running.check()
        report, requests = await running.look_at(NAME), Requests(running, NAME)
        assert (warned(report), reached(report)) == (set(), {IPFamily.IPV4: True, IPFamily.IPV6: True})
        for families, warning, reasons in (
            ({IPFamily.IPV4}, {WarningName.OUTBOUND_IPV6_BROKEN}, set()),
            ({IPFamily.IPV6}, {WarningName.OUTBOUND_IPV4_BROKEN}, set()),
            ((), set(), {(Stage.OUTBOUND, "outbound_unreachable")}),
            (set(IPFamily), set(), set()),
        ):
            reach(running, NAME, families)
            report = await running.look_at(NAME, report)
            assert (warned(report), problems(report)) == (warning, reasons)
            assert reached(report) == {family: family in families for family in IPFamily}
            assert len(requests.since()) == 2


async def test_a_server_that_has_no_ipv6_at_all_is_not_warned_about(tmp_path: Path) -> None:
    """It does without on purpose. The report says so all the same."""
    without = changed("both-ways.lab.test", reaches={IPFamily.IPV4})
    async with both_ways([without], tmp_path) as running:
        assert await running.check()
        report = await running.look_at(without.server_name)
    assert (warned(report), problems(report)) == (set(), set())
    assert reached(report) == {IPFamily.IPV4: True, IPFamily.IPV6: False}
    assert found(outbound(report).outcome) == CameBack(OutboundMethod.SIGNED, IPFamily.IPV4)


def keep_keys(homeserver: Homeserver) -> Site:
    """Accept signed requests without asking for the keys again, as the Conduit family does."""

    async def forward(request: Request) -> Response:
        if "/event/" in request.path:
            return error(404, "M_NOT_FOUND", "Event not found.")
        return await homeserver.respond(request)

    return Site({}, fallback=forward)


KEEPS_KEYS = replace(DUAL_STACK, ports=dict.fromkeys(DUAL_STACK.ports, federates(NAME, proxy=keep_keys)))


async def test_two_looks_tell_what_a_server_reaches_that_keeps_keys_for_ever(tmp_path: Path) -> None:
    """The names swap places, and each look keeps what only the one before has seen. So no look takes more requests."""
    async with both_ways([KEEPS_KEYS], tmp_path) as running:
        assert await running.check()
        reach(running, NAME, {IPFamily.IPV4})
        requests = Requests(running, NAME)
        looks = [await running.look_at(NAME)]
        for _ in range(3):
            looks.append(await running.look_at(NAME, looks[-1]))
            assert len(requests.since()) <= 2 * len(looks)
        reach(running, NAME, set(IPFamily))
        for _ in range(2):
            looks.append(await running.look_at(NAME, looks[-1]))
    first, *later, _, repaired = looks
    assert outbound(first).outcome is SKIPPED
    assert reached(first) == {IPFamily.IPV4: None, IPFamily.IPV6: False}
    assert [reached(each) for each in later] == [{IPFamily.IPV4: True, IPFamily.IPV6: False}] * 3
    assert [warned(each) for each in (first, *later)] == [set(), *[{WarningName.OUTBOUND_IPV6_BROKEN}] * 3]
    assert (reached(repaired), warned(repaired)) == ({IPFamily.IPV4: True, IPFamily.IPV6: True}, set())


async def test_what_was_seen_two_looks_ago_is_forgotten(tmp_path: Path) -> None:
    """Here the third look learns nothing: no request makes the server come any more."""
    async with both_ways([KEEPS_KEYS], tmp_path) as running:
        assert await running.check()
        second = await running.look_at(NAME, await running.look_at(NAME))
        assert reached(second) == {IPFamily.IPV4: True, IPFamily.IPV6: True}
        running.federation.server(NAME).homeserver.outgoing.offers = ()  # type: ignore[union-attr]
        third = await running.look_at(NAME, second)
    assert reached(third) == {IPFamily.IPV4: True, IPFamily.IPV6: None}


async def test_one_name_for_one_family_is_used_beside_the_name_for_both(tmp_path: Path) -> None:
    """A server without that family is not blamed for it."""
    only_ipv6 = {"ipv6": BY_FAMILY["ipv6"]}
    async with both_ways([DUAL_STACK], tmp_path, by_family=only_ipv6) as running:
        assert await running.check()
        requests = Requests(running, NAME)
        reach(running, NAME, {IPFamily.IPV4})
        report = await running.look_at(NAME)
        assert len(requests.since()) == 2
    assert (problems(report), warned(report)) == (set(), {WarningName.OUTBOUND_IPV6_BROKEN})


async def test_a_family_whose_own_name_is_out_of_reach_is_not_judged(tmp_path: Path) -> None:
    """The other name and the one for both families are used instead."""
    server = server_named("no-ipv6-egress.lab.test")
    async with both_ways([server], tmp_path) as running:
        running.federation.dns.zone.load(f"{BY_FAMILY['ipv6']} A 192.0.2.240")
        assert not await running.check()
        report = await running.look_at(server.server_name)
    assert (problems(report), warned(report)) == (set(), set())
    assert reached(report) == {IPFamily.IPV4: True}
    assert isinstance(outbound(report).outcome, Passed)
