"""Looks at the other direction: a server is made to connect to the exporter, which watches who comes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from exporter.model.enums import OutboundMethod
from exporter.model.names import ServerName
from exporter.model.outcomes import Problem, found
from exporter.model.report import EndpointReport, OutboundLook, Report
from exporter.outbound import provoking, signed
from exporter.outbound.client_api import find_client_api
from exporter.outbound.exchange import Send, exchange, getting, posting
from exporter.outbound.judging import Evidence, judge
from exporter.outbound.peer import Expectation, Peer
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
_NOT_CHECKED_YET: Final = "the exporter has not reached its own listener yet"


@dataclass(frozen=True, slots=True)
class _Way:
    """What is remembered of a server: how it can be made to come."""

    methods: tuple[OutboundMethod, ...] = _METHODS
    """Those that may work, the best first. Without any, it only gets the signed request."""
    client_api: Url | None = None
    """None: its client API is looked for where it federates."""
    learned_at: float = 0.0
    rejects_signature: bool = False
    """Whether the latest signed request arrived changed. Then the next look asks what else does, instead of making the
    server come: to reject a signature, it has to have the exporter's keys."""


class OutboundLooks:
    """Makes looks under the name of `peer`, at each server at most once in `interval` seconds.

    While `not_ready_because` is a sentence, no server is asked, and none is blamed.
    """

    def __init__(
        self, network: Network, peer: Peer, interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.network = network
        self.peer = peer
        self.interval = interval
        self.not_ready_because: str | None = _NOT_CHECKED_YET
        self._clock = clock
        self._ways: LruCache[ServerName, _Way] = LruCache(_REMEMBERED_SERVERS)

    def __repr__(self) -> str:
        return f"<OutboundLooks as {self.peer.name}: {self.not_ready_because or 'ready'}>"

    async def add_if_due(self, report: Report, earlier: Report | None) -> Report:
        """Return the report with a look, unless the one in an earlier report is recent enough."""
        latest = earlier.outbound if earlier else None
        recent = latest and report.ended_at - latest.made_at < timedelta(seconds=_NEARLY * self.interval)
        if latest and latest.asked and recent and not self.not_ready_because:
            return report
        return replace(report, outbound=await self.look(report))

    async def look(self, report: Report, max_requests: int = _MAX_REQUESTS) -> OutboundLook:
        """Look at the server of a report that has just been made. It gets at most `max_requests` requests, of which the
        last one is signed, and those before are to make it come.
        """
        if self.not_ready_because:
            return OutboundLook(report.ended_at, inconclusive_because=self.not_ready_because, asked=False)
        endpoint = next((each for each in report.endpoints if each.ok), None)
        if endpoint is None:
            unheard = "the server does not answer the exporter, so it cannot be asked to come"
            return OutboundLook(report.ended_at, inconclusive_because=unheard, asked=False)
        with self.peer.expect(report.server_name.text, _published_keys(report)) as expected:
            evidence = await _Look(self, report, endpoint, expected).gather(max_requests)
        return judge(evidence, report.ended_at)

    # ------------------------------------------------------------ what is remembered

    async def way(self, name: ServerName, deadline: Deadline) -> _Way:
        """Return how the server can be made to come. Its client API is discovered once a day."""
        way = self._ways.get(name)
        if way is None or self._clock() - way.learned_at > _REMEMBERED_SECONDS:
            way = _Way(client_api=await find_client_api(self.network, name, deadline), learned_at=self._clock())
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


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at one server."""

    looks: OutboundLooks
    report: Report
    endpoint: EndpointReport
    expected: Expectation

    async def gather(self, max_requests: int) -> Evidence:
        """Ask the server to come, and send it a signed request. If that arrives changed, send a signed lookup as well:
        with this look if it may get another request, or else with the next one.
        """
        clock, deadline = self.looks.peer.clock, Deadline.for_probe(_LOOK_SECONDS)
        way = await self.looks.way(self.report.server_name, deadline.capped(_WAIT_SECONDS))
        provoked, provoked_at, left = None, clock(), max_requests
        for method in () if way.rejects_signature else way.methods[: max_requests - 1]:
            provoked_at = clock()
            provoked = await self._provoke(method, way, deadline.capped(_WAIT_SECONDS))
            left -= 1
            if provoked.result is not Provoked.UNSUPPORTED:
                break
            self.looks.rule_out(self.report.server_name, method)
        signed_at = clock()
        answer, lookup = await self._send_signed(signed.new_event_path(), deadline.capped(_WAIT_SECONDS)), None
        rejected = answer.accepted is Accepted.BAD_SIGNATURE
        self.looks.remember_rejection(self.report.server_name, rejected=rejected)
        if rejected and left > 1:
            path = signed.new_lookup_path(self.report.server_name.text)
            lookup = await self._send_signed(path, deadline.capped(_WAIT_SECONDS))
        return Evidence(self.expected, provoked, provoked_at, answer, signed_at, clock(), lookup)

    async def _provoke(self, method: OutboundMethod, way: _Way, deadline: Deadline) -> Provocation:
        peer = self.looks.peer
        if method is OutboundMethod.ALIAS:
            return provoking.evaluate_alias(await self._ask_for_alias(way, deadline), peer.room_id(self.expected))
        query = posting(provoking.QUERY_PATH, self.report.route.host_header, provoking.notary_query(peer))
        return provoking.evaluate_notary(await self._exchange(query, deadline), self.expected, peer.name.text)

    async def _ask_for_alias(self, way: _Way, deadline: Deadline) -> HttpResponse | Problem:
        """Ask the client API, which many servers have where they federate too, if no well-known says where it is."""
        alias = self.looks.peer.alias(self.expected)
        if way.client_api:
            return await provoking.get_from_client_api(self.looks.network, way.client_api, alias, deadline)
        path = provoking.alias_path("", alias)
        return await self._exchange(getting(path, self.report.route.host_header), deadline)

    async def _send_signed(self, path: str, deadline: Deadline) -> SignedAnswer:
        authorization = self.looks.peer.key.authorization(path, self.report.server_name.text)
        response = await self._exchange(getting(path, self.report.route.host_header, authorization), deadline)
        if isinstance(response, Problem):
            return SignedAnswer(Accepted.UNKNOWN, f"a signed request is not answered ({response.detail})")
        return signed.evaluate(response)

    async def _exchange(self, send: Send, deadline: Deadline) -> HttpResponse | Problem:
        return await exchange(self.looks.network, self.report, self.endpoint, send, deadline)
