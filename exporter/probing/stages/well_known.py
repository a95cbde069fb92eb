"""Stage `well_known`: https://<server name>/.well-known/matrix/server (server-server API, 2.1, step 3).

Every hop of a redirect is resolved, policed, connected and verified like any endpoint; a delegation is read from the
last one. What is not there at all (404, no address, nobody listening) is an answer, and no failure.
"""

import asyncio
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import httpx

from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.findings import Delegation, Resolution, TlsSession, WellKnownResponse
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.attempt import Deadline, Failure, attempt, identity
from exporter.probing.chain_cache import ChainCache
from exporter.probing.dialling import connect_any
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection, Network
from exporter.probing.parsing import freshness
from exporter.probing.parsing.json_body import JsonObject, json_type, parse_object
from exporter.probing.problems import Step
from exporter.probing.stages import dns, tls

PATH = "/.well-known/matrix/server"
_HTTPS_PORT = 443
MAX_BYTES = 50 * 1024  # as Synapse and Dendrite read
MAX_REDIRECTS = 10  # Synapse follows 20, everybody else 10

_REDIRECTS = {301, 302, 303, 307, 308}
_ABSENT_STATUSES = {404, 410}
_INVALID = Reason.INVALID_DELEGATION
_ABSENT_REASONS = {Reason.NXDOMAIN, Reason.NO_ADDRESSES, Reason.CONNECT_REFUSED}


@dataclass(frozen=True, slots=True)
class HttpsUrl:
    """An https URL. `place` is what `Host` says: a host, and a port where it is not that of https."""

    place: ServerName
    path: str

    def __str__(self) -> str:
        return f"https://{self.place}{self.path}"

    @property
    def target(self) -> Target:
        return Target(self.place.host, _HTTPS_PORT if self.place.port is None else self.place.port)


@dataclass(frozen=True, slots=True)
class Hop:
    """One GET, from the lookup of the host on; `problem` is what ended it before there was an answer."""

    seconds: float
    problem: Problem | None = None
    secured: TlsSession | None = None
    answer: HttpResponse | None = None


async def run(network: Network, name: ServerName, deadline: Deadline) -> Passed[Delegation] | Failed[Delegation]:
    """Follows redirects to the end. `deadline` is for all of it."""
    page, visited = HttpsUrl(name, PATH), set[HttpsUrl]()
    first = last = await _fetch_hop(network, page, deadline)
    seconds, stray = first.seconds, None
    while last.answer and last.answer.status in _REDIRECTS:
        visited.add(page)
        following = redirect_target(page, last.answer, visited)
        if isinstance(following, Problem):
            stray = following
            break
        page = following
        last = await _fetch_hop(network, page, deadline)
        seconds += last.seconds
    reading = _failed_delegation(stray) if stray else evaluate(last, redirected=bool(visited))
    if isinstance(reading, Failure):
        return Failed(seconds, reading.problems, reading.found and replace(reading.found, secured=first.secured))
    return Passed(seconds, replace(reading, secured=first.secured))


async def _fetch_hop(network: Network, page: HttpsUrl, deadline: Deadline) -> Hop:
    """Over the first address that accepts a connection."""
    resolved = await _resolve(network, page, deadline)
    if isinstance(resolved, Failed):
        return Hop(resolved.seconds, resolved.problems[0])
    connected = await attempt(Step.TCP, connect_any(network, resolved.found.endpoints), identity, deadline)
    seconds = resolved.seconds + connected.seconds
    if isinstance(connected, Failed):
        return Hop(seconds, connected.problems[0])
    with closing(connected.found) as connection:
        talk = await _exchange(connection, page, network.chain_cache, deadline)
    return replace(talk, seconds=seconds + talk.seconds)


async def _resolve(network: Network, page: HttpsUrl, deadline: Deadline) -> Passed[Resolution] | Failed[Resolution]:
    return await attempt(
        Step.DNS, dns.fetch(network, [page.target]), partial(dns.evaluate, aliases_allowed=True), deadline
    )


async def _exchange(connection: Connection, page: HttpsUrl, cache: ChainCache, deadline: Deadline) -> Hop:
    """TLS and the request, over an open connection."""
    clock, host = connection.peer_wait, page.place.host
    secured = await attempt(
        Step.TLS, connection.start_tls(host), partial(tls.evaluate, tls_name=host, cache=cache), deadline, clock
    )
    if isinstance(secured, Failed):
        return Hop(secured.seconds, secured.problems[0], secured.found)
    get = connection.get(page.path, page.place.text, MAX_BYTES)
    answered = await attempt(Step.HTTP, get, identity, deadline, clock)
    seconds = secured.seconds + answered.seconds
    if isinstance(answered, Failed):
        return Hop(seconds, answered.problems[0], secured.found)
    return Hop(seconds, None, secured.found, answered.found)


def redirect_target(page: HttpsUrl, answer: HttpResponse, visited: Collection[HttpsUrl]) -> HttpsUrl | Problem:
    """Where a redirect leads, if it is somewhere that peers go."""
    location = answer.header("location")
    if not location:
        return Problem(Reason.REDIRECT, f"status {answer.status} without a Location")
    shown = printable(location, 200)
    try:
        reference = httpx.URL(location)
        url = httpx.URL(str(page)).join(reference)
        following = HttpsUrl(names.parse(url.netloc.decode()), url.raw_path.decode())
    except (httpx.InvalidURL, ValueError) as error:
        return Problem(Reason.REDIRECT, f"to {shown}, which leads nowhere: {printable(str(error), 100)}")
    if url.scheme != "https" or url.userinfo or (reference.scheme and not reference.raw_host):
        return Problem(Reason.REDIRECT, f"to {shown}, which is no plain https URL")
    if following in visited:
        return Problem(Reason.REDIRECT, f"in a loop: to {shown} again")
    if len(visited) > MAX_REDIRECTS:
        return Problem(Reason.REDIRECT, f"more than {MAX_REDIRECTS} redirects")
    return following


# ---------------------------------------------------------------- reading


def evaluate(last: Hop, *, redirected: bool) -> Delegation | Failure[Delegation]:
    if last.problem:
        absent = last.problem.reason in _ABSENT_REASONS and not redirected
        return _absent_delegation(last.problem.reason) if absent else _failed_delegation(last.problem)
    assert last.answer is not None
    answered = _summarize_response(last.answer)
    if last.answer.status in _ABSENT_STATUSES:
        return _absent_delegation(Reason.HTTP_STATUS, answered)
    content = parse_object(last.answer)
    if isinstance(content, Problem):
        misread = content.reason is Reason.INVALID_CONTENT
        return _failed_delegation(replace(content, reason=_INVALID) if misread else content, answered)
    server = _delegated_server(content)
    if isinstance(server, Problem):
        return _failed_delegation(server, answered)
    return Delegation(freshness.bounded_seconds(answered.announced_seconds), server, answered=answered)


def _summarize_response(answer: HttpResponse) -> WellKnownResponse:
    return WellKnownResponse(answer.status, len(answer.body), freshness.announced_seconds(answer, datetime.now(UTC)))


def _absent_delegation(reason: Reason, answered: WellKnownResponse | None = None) -> Delegation:
    return Delegation(freshness.FAILURE_SECONDS, absent_because=reason, answered=answered)


def _failed_delegation(problem: Problem, answered: WellKnownResponse | None = None) -> Failure[Delegation]:
    return Failure((problem,), Delegation(freshness.FAILURE_SECONDS, answered=answered))


def _delegated_server(content: JsonObject) -> ServerName | Problem:
    if "m.server" not in content:
        return Problem(_INVALID, "m.server is missing")
    text = content["m.server"]
    if not isinstance(text, str):
        return Problem(_INVALID, f"m.server should be a string, found {json_type(text)}")
    try:
        return names.parse(text)
    except names.InvalidServerNameError as error:
        return Problem(_INVALID, f"m.server is {printable(text, 100)!r}: {printable(str(error), 200)}")


# ---------------------------------------------------------------- the deep look


async def fetch_from_each_address(
    network: Network, name: ServerName, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> dict[str, str]:
    """What each address of the server name answers, in short; where nobody answers, peers go on to the next one."""
    page = HttpsUrl(name, PATH)
    resolved = await _resolve(network, page, deadline.for_stage())
    endpoints = resolved.found.endpoints if resolved.found else ()
    answers = await asyncio.gather(
        *(_fetch_from_address(network, endpoint, page, tls_slots, deadline) for endpoint in endpoints)
    )
    return {endpoint.address: answer for endpoint, answer in zip(endpoints, answers, strict=True) if answer}


async def _fetch_from_address(
    network: Network, endpoint: Endpoint, page: HttpsUrl, tls_slots: asyncio.Semaphore, deadline: Deadline
) -> str | None:
    """In short; none where nobody answers."""
    with closing(network.connection(endpoint)) as connection:
        opened = await attempt(Step.TCP, connection.open(), identity, deadline.for_stage(), connection.peer_wait)
        if isinstance(opened, Failed):
            return None
        async with tls_slots:
            visit = await _exchange(connection, page, network.chain_cache, deadline.for_stage())
    return summarize(visit) if visit.answer or visit.secured else None


def summarize(visit: Hop) -> str:
    if visit.answer and visit.answer.status in _REDIRECTS:
        return f"a redirect to {printable(visit.answer.header('location') or 'nowhere', 200)}"
    reading = evaluate(visit, redirected=False)
    if isinstance(reading, Failure):
        return reading.problems[0].reason
    return reading.server.text if reading.server else "no delegation"
