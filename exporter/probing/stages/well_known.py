"""Stage `well_known`: https://<server name>/.well-known/matrix/server (server-server API, 2.1, step 3).

Every hop of a redirect is resolved, checked against the address policy, connected to and verified like an endpoint. The
delegation is read from the last one. A well-known that does not exist (status 404, no address, connection refused) is a
valid result, not a failure.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

import httpx

from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import IPFamily, Oddity
from exporter.model.findings import Delegation, Resolution, TlsSession, WellKnownResponse
from exporter.model.names import ServerName
from exporter.model.outcomes import Failed, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.attempt import Deadline, Failure, attempt, identity
from exporter.probing.chain_cache import ChainCache
from exporter.probing.dialling import connect, start_tls
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection, Network
from exporter.probing.parsing import freshness, lenient_json
from exporter.probing.parsing.json_body import JsonObject, json_type
from exporter.probing.parsing.json_response import parse_object
from exporter.probing.problems import Step
from exporter.probing.stages import dns

PATH = "/.well-known/matrix/server"
_HTTPS_PORT, _HTTP_PORT = 443, 80
MAX_BYTES = 50 * 1024  # as Synapse and Dendrite accept
_READ_BYTES = 256 * 1024  # as the Conduit family accepts
MAX_REDIRECTS = 10  # as all homeservers but Synapse follow
FOLLOWED_REDIRECTS = 20  # as Synapse follows

_MAX_M_SERVER_CHARACTERS = 300

REDIRECTS = {301, 302, 303, 307, 308}
_ABSENT_STATUSES = {404, 410}
_INVALID = Reason.INVALID_DELEGATION
_ABSENT_REASONS = {Reason.NXDOMAIN, Reason.NO_ADDRESSES, Reason.CONNECT_REFUSED, Reason.TUNNEL_FAILED}


@dataclass(frozen=True, slots=True)
class Url:
    """An https or http URL without user information and fragment."""

    authority: ServerName
    """What `Host` says: a host, and a port unless it is that of https."""
    path: str
    """The path and the query."""
    secure: bool = True

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.path}"

    @property
    def target(self) -> Target:
        default = _HTTPS_PORT if self.secure else _HTTP_PORT
        return Target(self.authority.host, default if self.authority.port is None else self.authority.port)


@dataclass(frozen=True, slots=True)
class Hop:
    """One GET, including the lookup of its host. Either `problem` or `response` is set."""

    seconds: float
    problem: Problem | None = None
    """What went wrong before there was a response."""
    tls_session: TlsSession | None = None
    response: HttpResponse | None = None
    partial_lookups: tuple[Problem, ...] = ()
    """Why A or AAAA of its host could not be looked up, although the other one could."""


_Send: TypeAlias = Callable[[Connection, Url, ChainCache, Deadline], Awaitable[Hop]]


async def run(
    network: Network, name: ServerName, deadline: Deadline, only_over: IPFamily | None = None
) -> Passed[Delegation] | Failed[Delegation]:
    """Request the well-known, following redirects, and evaluate the last response. `deadline` is for all of it.

    With `only_over`, only addresses of that IP family are used.
    """
    url, visited = Url(name, PATH), list[Url]()
    first = last = await fetch_hop(network, url, deadline, only_over)
    seconds, partial_lookups, redirect_problem = first.seconds, first.partial_lookups, None
    while last.response and last.response.status in REDIRECTS:
        visited.append(url)
        target = redirect_target(url, last.response, visited)
        if isinstance(target, Problem):
            redirect_problem = redirect_problem or target
            break
        redirect_problem = redirect_problem or _check_redirect(target, len(visited))
        url = target
        last = await fetch_hop(network, url, deadline, only_over)
        seconds += last.seconds
        partial_lookups += last.partial_lookups
    finding = evaluate(last, visited, redirect_problem)
    # The session with the server name itself is kept: later hops belong to other servers.
    complete = partial(replace, tls_session=first.tls_session, partial_lookups=partial_lookups)
    if isinstance(finding, Failure):
        return Failed(seconds, finding.problems, finding.found and complete(finding.found))
    return Passed(seconds, complete(finding))


async def fetch_hop(network: Network, url: Url, deadline: Deadline, only_over: IPFamily | None = None) -> Hop:
    """Request a URL over the first address that accepts a connection."""
    resolved = await resolve(network, url, deadline)
    if isinstance(resolved, Failed):
        return Hop(resolved.seconds, resolved.problems[0])
    endpoints = [each for each in resolved.found.endpoints if only_over in (None, each.ip_family)]
    if only_over and not endpoints:
        lacking = Problem(Reason.NO_ADDRESSES, f"{url.target.host} has no {only_over.written} address")
        return Hop(resolved.seconds, lacking)
    hop = await _connect_and_send(network, url, endpoints, exchange if url.secure else _exchange_insecurely, deadline)
    if hop.problem and hop.problem.reason is Reason.TLS_HANDSHAKE:  # old servers need what Synapse still offers
        again = await _connect_and_send(network, url, endpoints, partial(exchange, finite_field=True), deadline)
        hop = replace(again if again.tls_session else hop, seconds=hop.seconds + again.seconds)
    return replace(hop, seconds=resolved.seconds + hop.seconds, partial_lookups=resolved.found.partial_lookups)


async def _connect_and_send(
    network: Network, url: Url, endpoints: Sequence[Endpoint], send: _Send, deadline: Deadline
) -> Hop:
    connected = await connect(network, endpoints, deadline)
    if isinstance(connected, Failed):
        return Hop(connected.seconds, connected.problems[0])
    with closing(connected.found) as connection:
        hop = await send(connection, url, network.chain_cache, deadline)
    return replace(hop, seconds=connected.seconds + hop.seconds)


async def _exchange_insecurely(connection: Connection, url: Url, _cache: ChainCache, deadline: Deadline) -> Hop:
    """Perform the request without TLS, as peers do where a redirect leads to plain http."""
    connection.use_plain_http()
    request = connection.get(url.path, url.authority.text, _READ_BYTES)
    response = await attempt(Step.HTTP, request, identity, deadline, connection.peer_wait)
    if isinstance(response, Failed):
        return Hop(response.seconds, response.problems[0])
    return Hop(response.seconds, None, None, response.found)


async def resolve(network: Network, url: Url, deadline: Deadline) -> Passed[Resolution] | Failed[Resolution]:
    evaluate_addresses = partial(dns.evaluate, aliases_allowed=True)
    return await attempt(Step.DNS, dns.fetch(network, [url.target]), evaluate_addresses, deadline)


async def exchange(
    connection: Connection, url: Url, cache: ChainCache, deadline: Deadline, *, finite_field: bool = False
) -> Hop:
    """Perform the TLS handshake and the request over an open connection."""
    clock, host = connection.peer_wait, url.authority.host
    session = await start_tls(connection, host, cache, deadline, finite_field=finite_field)
    if isinstance(session, Failed):
        return Hop(session.seconds, session.problems[0], session.found)
    request = connection.get(url.path, url.authority.text, _READ_BYTES)
    response = await attempt(Step.HTTP, request, identity, deadline, clock)
    seconds = session.seconds + response.seconds
    if isinstance(response, Failed):
        return Hop(seconds, response.problems[0], session.found)
    return Hop(seconds, None, session.found, response.found)


def redirect_target(url: Url, response: HttpResponse, visited: Collection[Url]) -> Url | Problem:
    """Return where a redirect leads. No peer follows it, and it is a problem, in five cases:

    - there is no Location;
    - it is not a URL whose host is a server name;
    - it is not a plain URL: a scheme other than https and http, user information, or a scheme without a host;
    - it was visited before;
    - it is one redirect too many for Synapse.
    """
    location = response.header("location")
    if not location:
        return Problem(Reason.REDIRECT, f"status {response.status} without a Location")
    shown = printable(location, 200)
    try:
        reference = httpx.URL(location)
        joined = httpx.URL(str(url)).join(reference)
        target = Url(names.parse(joined.netloc.decode()), joined.raw_path.decode(), joined.scheme == "https")
    except (httpx.InvalidURL, ValueError) as error:
        return Problem(Reason.REDIRECT, f"redirects to {shown}, which leads nowhere: {printable(str(error), 100)}")
    if joined.scheme not in ("https", "http") or joined.userinfo or (reference.scheme and not reference.raw_host):
        return Problem(Reason.REDIRECT, f"redirects to {shown}, which is not a plain https URL")
    if target in visited:
        return Problem(Reason.REDIRECT, f"redirects in a loop: to {shown} again")
    if len(visited) > FOLLOWED_REDIRECTS:
        return Problem(Reason.REDIRECT, f"redirects more than {FOLLOWED_REDIRECTS} times")
    return target


def _check_redirect(target: Url, redirects: int) -> Problem | None:
    """Return what the specification, or most homeservers, mind about a redirect that some follow."""
    if not target.secure:
        return Problem(Reason.REDIRECT, f"redirects to {printable(str(target), 200)}, which is not a plain https URL")
    if redirects > MAX_REDIRECTS:
        return Problem(Reason.REDIRECT, f"redirects more than {MAX_REDIRECTS} times")
    return None


# ---------------------------------------------------------------- evaluation


def evaluate(
    last: Hop, visited: Sequence[Url] = (), redirect_problem: Problem | None = None
) -> Delegation | Failure[Delegation]:
    """Return the delegation that the last hop yields. `visited` are the URLs that redirected to it.

    There are five cases:

    - a redirect was not as it should be: a failure, with what some homeservers find behind it all the same;

    - no response, because the host does not exist, has no address or refuses connections, or a proxy finds that: there
      is no well-known. After a redirect it is a failure instead: a well-known exists, but nobody can read it;
    - no response for any other reason: a failure;
    - status 404 or 410: there is no well-known;
    - any other response: a valid delegation, or a failure that says what is wrong with it.
    """
    if redirect_problem:
        return _failed_delegation(redirect_problem, _summarize(last, visited) if last.response else None)
    if last.problem:
        absent = last.problem.reason in _ABSENT_REASONS and not visited
        return _absent_delegation(last.problem.reason) if absent else _failed_delegation(last.problem)
    assert last.response is not None
    summary = _summarize(last, visited)
    if last.response.status in _ABSENT_STATUSES:
        return _absent_delegation(Reason.HTTP_STATUS, summary)
    if len(last.response.body) > MAX_BYTES:
        return _failed_delegation(Problem(Reason.TOO_LARGE, f"the body has more than {MAX_BYTES} bytes"), summary)
    content = parse_object(last.response)
    if isinstance(content, Problem):
        invalid = content.reason is Reason.INVALID_CONTENT
        return _failed_delegation(replace(content, reason=_INVALID) if invalid else content, summary)
    server = _delegated_server(content)
    if isinstance(server, Problem):
        return _failed_delegation(server, summary)
    return Delegation(freshness.bounded_seconds(summary.announced_seconds), server, response=summary)


def _summarize(last: Hop, visited: Sequence[Url]) -> WellKnownResponse:
    """Return what homeservers make their different decisions on."""
    response = last.response
    assert response is not None
    summary = WellKnownResponse(
        response.status,
        len(response.body),
        freshness.announced_seconds(response, datetime.now(UTC)),
        redirects=len(visited),
        insecure=last.tls_session is None,
        shape=response.shape,
    )
    parsed = lenient_json.parse(response, _READ_BYTES)
    if isinstance(parsed, str):
        return summary
    in_any_case = [value for key, value in parsed.content.items() if key.lower() == "m.server"]
    return replace(
        summary,
        is_object=True,
        oddities=parsed.oddities | ({Oddity.REPEATED_KEY} if "m.server" in parsed.repeated else set()),
        m_server=_bounded_text(parsed.content.get("m.server")),
        m_server_in_any_case=_bounded_text(in_any_case[-1] if in_any_case else None),
    )


def _bounded_text(value: object) -> str | None:
    """Return a text that may be a server name, which has at most 261 characters, or the beginning of a longer one."""
    return value[:_MAX_M_SERVER_CHARACTERS] if isinstance(value, str) else None


def _absent_delegation(reason: Reason, response: WellKnownResponse | None = None) -> Delegation:
    return Delegation(freshness.FAILURE_SECONDS, absent_because=reason, response=response)


def _failed_delegation(problem: Problem, response: WellKnownResponse | None = None) -> Failure[Delegation]:
    return Failure((problem,), Delegation(freshness.FAILURE_SECONDS, response=response))


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
