"""Looks at the other direction: makes servers connect to the exporter, and waits for their requests."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from exporter.model.enums import IPFamily, OutboundMethod
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Problem, found
from exporter.model.report import EndpointReport, OutboundLook, Report
from exporter.outbound import provoking, signed
from exporter.outbound.client_api import find_client_api
from exporter.outbound.exchange import Send, exchange, getting, posting
from exporter.outbound.judging import Evidence, judge
from exporter.outbound.peer import Peer
from exporter.outbound.provoking import Provocation, Provoked
from exporter.outbound.signed import Accepted, SignedAnswer
from exporter.probing.attempt import Deadline
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Network
from exporter.probing.stages.well_known import Url
from exporter.runtime.lru import LruCache

_WAIT_SECONDS = 20.0  # for an answer: a homeserver gives up after 10 seconds
_LOOK_SECONDS = 4 * _WAIT_SECONDS
_MAX_REQUESTS = 2  # to one server, with each look
_NEARLY = 0.95  # of the interval: a probe may end slightly earlier after its start than the one before
_REMEMBERED_SERVERS = 50_000
_REMEMBERED_SECONDS = 24 * 3600.0
_METHODS: Final = (OutboundMethod.ALIAS, OutboundMethod.NOTARY)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a server can be made to connect to the exporter, as far as earlier looks have shown."""

    methods: tuple[OutboundMethod, ...] = _METHODS
    """The methods that may work, the best first. If there are none, only signed requests are sent."""
    client_api: Url | None = None
    """None if no well-known names it: then it is assumed to be where the server federates."""
    learned_at: float = 0.0
    rejects_signature: bool = False
    """Whether the latest signed request arrived changed. Then the next look finds out whether a lookup does too, before
    it makes the server connect: to reject a signature, the server must have the exporter's keys."""


class OutboundLooks:
    """Makes looks under the names of `peers`, at each server at most once in `interval` seconds.

    The first peer has the name that others reach over both IP families. While there is an obstacle to it, no server is
    asked, and none is blamed. The others are used while there is none to them.
    """

    def __init__(self, peers: Sequence[Peer], interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.peers = tuple(peers)
        self.interval = interval
        self._clock = clock
        self._ways: LruCache[ServerName, _Way] = LruCache(_REMEMBERED_SERVERS)

    def __repr__(self) -> str:
        return f"<OutboundLooks as {self.peers[0].name}: {self.not_ready_because or 'ready'}>"

    @property
    def not_ready_because(self) -> str | None:
        return self.peers[0].obstacle

    async def add_if_due(self, network: Network, report: Report, earlier: Report | None) -> Report:
        """Return the report with a look over a network, unless the one in an earlier report is recent enough."""
        latest = earlier.outbound if earlier else None
        recent = latest and report.ended_at - latest.made_at < timedelta(seconds=_NEARLY * self.interval)
        if latest and latest.asked and recent and not self.not_ready_because:
            return report
        return replace(report, outbound=await self.look(network, report, latest))

    async def look(
        self, network: Network, report: Report, earlier: OutboundLook | None = None, max_requests: int = _MAX_REQUESTS
    ) -> OutboundLook:
        """Look at the server of a report that has just been made, over the same network. It gets at most `max_requests`
        requests: the first ones make it connect to the exporter, and the last one is signed.
        """
        if self.not_ready_because:
            return OutboundLook(report.ended_at, inconclusive_because=self.not_ready_because, asked=False)
        endpoint = next((each for each in report.endpoints if each.ok), None)
        if endpoint is None:
            unheard = "the server does not answer the exporter, so it cannot be asked to come"
            return OutboundLook(report.ended_at, inconclusive_because=unheard, asked=False)
        with ExitStack() as stack:
            keys = _published_keys(report)
            evidence = [
                Evidence(peer, stack.enter_context(peer.expect(report.server_name.text, keys)))
                for peer in self._choose_peers(earlier)
            ]
            await _Look(self, network, report, endpoint, evidence, max_requests).gather()
        return judge(evidence, report.ended_at, earlier)

    def _choose_peers(self, earlier: OutboundLook | None) -> list[Peer]:
        """Return the names for a look: first the one with the oldest result, as the first request shows most. There are
        two cases:

        - both IP families have a name: these two;
        - at most one of them has: that one, and the name with addresses of both families.
        """
        main, *others = self.peers
        ready = [peer for peer in others if not peer.obstacle]
        known = (
            {each.ip_family: each.made_at for each in earlier.by_name if each.outcome is not SKIPPED} if earlier else {}
        )
        chosen = ready if len(ready) == len(IPFamily) else [*ready, main]
        return sorted(chosen, key=lambda peer: known.get(peer.ip_family, _NEVER))

    # ------------------------------------------------------------ what is remembered

    async def way(self, network: Network, name: ServerName, deadline: Deadline) -> _Way:
        """Return how the server can be made to connect. Its client API is discovered once a day."""
        way = self._ways.get(name)
        if way is None or self._clock() - way.learned_at > _REMEMBERED_SECONDS:
            way = _Way(client_api=await find_client_api(network, name, deadline), learned_at=self._clock())
            self._ways.put(name, way)
        return way

    def remember_rejection(self, name: ServerName, *, rejected: bool) -> None:
        """Remember whether a signed request arrived changed at a server."""
        if way := self._ways.get(name):
            self._ways.put(name, replace(way, rejects_signature=rejected))

    def rule_out(self, name: ServerName, method: OutboundMethod) -> None:
        """Remember that a method does not work for a server."""
        if way := self._ways.get(name):
            self._ways.put(name, replace(way, methods=tuple(each for each in way.methods if each is not method)))


def _published_keys(report: Report) -> dict[str, str]:
    """Return the keys of all endpoints, by key ID."""
    published = [keys.keys for endpoint in report.endpoints if (keys := found(endpoint.keys))]
    return {key_id: key for keys in published for key_id, key in keys.items()}


@dataclass(slots=True)
class _Look:
    """One look at one server, under one or two names."""

    looks: OutboundLooks
    network: Network
    report: Report
    endpoint: EndpointReport
    evidence: Sequence[Evidence]
    left: int
    """The number of requests that the server may still get."""

    async def gather(self) -> None:
        """Make the server connect to the first name, and send it a signed request under the last name.

        For a signed request, the server fetches the exporter's keys. If it signs that fetch, as Synapse does, two
        requests are enough for two names. If it may get more, they make it connect to the last name as well.

        If the signed request arrives changed, a signed lookup is sent as well: with this look if the server may get
        another request, or else with the next one. That one makes the server connect only if the signed request no
        longer arrives changed.
        """
        first, last, deadline = self.evidence[0], self.evidence[-1], Deadline.for_probe(_LOOK_SECONDS)
        way = await self.looks.way(self.network, self.report.server_name, deadline.capped(_WAIT_SECONDS))
        method = None if way.rejects_signature else await self._find_method(first, way, self.left - 1, deadline)
        if method and last is not first and self.left > 1:
            await self._provoke(last, method, way, deadline)
        await self._ask_for_event(last, deadline)
        rejected = last.accepted is Accepted.BAD_SIGNATURE
        self.looks.remember_rejection(self.report.server_name, rejected=rejected)
        if self.left and rejected:
            path = signed.new_lookup_path(self.report.server_name.text)
            last.lookup = await self._send_signed(last.peer, path, deadline)
        elif way.rejects_signature and not rejected:
            await self._find_method(first, way, self.left, deadline)
        elif self.left and last is not first and not method:
            await self._ask_for_event(first, deadline)
        first.ended_at = last.ended_at = last.peer.clock()

    async def _find_method(
        self, seen: Evidence, way: _Way, max_requests: int, deadline: Deadline
    ) -> OutboundMethod | None:
        """Make the server connect by the first method that it supports, and return the method. Return None if there is
        none, or if it takes more requests.
        """
        for method in way.methods[:max_requests]:
            await self._provoke(seen, method, way, deadline)
            if seen.result is not Provoked.UNSUPPORTED:
                return method
            self.looks.rule_out(self.report.server_name, method)
        return None

    async def _provoke(self, seen: Evidence, method: OutboundMethod, way: _Way, deadline: Deadline) -> None:
        self.left -= 1
        seen.provoked_at = seen.peer.clock()
        seen.provoked = await self._ask_to_come(seen, method, way, deadline.capped(_WAIT_SECONDS))

    async def _ask_to_come(self, seen: Evidence, method: OutboundMethod, way: _Way, deadline: Deadline) -> Provocation:
        peer, expected = seen.peer, seen.expected
        if method is OutboundMethod.ALIAS:
            return provoking.evaluate_alias(
                await self._ask_for_alias(peer.alias(expected), way, deadline), peer.room_id(expected)
            )
        query = posting(provoking.QUERY_PATH, self.report.route.host_header, provoking.notary_query(peer))
        return provoking.evaluate_notary(await self._exchange(query, deadline), expected, peer.name.text)

    async def _ask_for_alias(self, alias: str, way: _Way, deadline: Deadline) -> HttpResponse | Problem:
        """Send the request to the client API. If no well-known names it, many servers have it where they federate."""
        if way.client_api:
            return await provoking.get_from_client_api(self.network, way.client_api, alias, deadline)
        path = provoking.alias_path("", alias)
        return await self._exchange(getting(path, self.report.route.host_header), deadline)

    async def _ask_for_event(self, seen: Evidence, deadline: Deadline) -> None:
        seen.signed_at = seen.peer.clock()
        seen.signed = await self._send_signed(seen.peer, signed.new_event_path(), deadline)

    async def _send_signed(self, peer: Peer, path: str, deadline: Deadline) -> SignedAnswer:
        self.left -= 1
        authorization = peer.key.authorization(path, self.report.server_name.text)
        send = getting(path, self.report.route.host_header, authorization)
        response = await self._exchange(send, deadline.capped(_WAIT_SECONDS))
        if isinstance(response, Problem):
            return SignedAnswer(Accepted.UNKNOWN, f"a signed request is not answered ({response.detail})")
        return signed.evaluate(response)

    async def _exchange(self, send: Send, deadline: Deadline) -> HttpResponse | Problem:
        return await exchange(self.network, self.report, self.endpoint, send, deadline)
