"""The servers that `demo` shows for the other direction. Most of them look healthy from one side."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from exporter.demo.homeserver import Homeserver
from exporter.demo.https_server import Request, Response, Site
from exporter.demo.servers import HEALTHY, LabServer, Proxy, federates, pass_through
from exporter.judging.warnings import WarningName
from exporter.model.enums import IPFamily, Method, OutboundMethod, Stage
from exporter.model.reasons import Reason


def strip_authorization(homeserver: Homeserver) -> Site:
    """A proxy that does not pass the Authorization header on."""

    async def forward(request: Request) -> Response:
        return await homeserver.respond(replace(request, authorization=None))

    return Site(fallback=forward)


def decode_paths(homeserver: Homeserver) -> Site:
    """A proxy that passes paths on decoded, like `proxy_pass` of nginx with a URI."""

    async def forward(request: Request) -> Response:
        path, mark, query = request.target.partition("?")
        return await homeserver.respond(replace(request, target=unquote(path) + mark + query))

    return Site(fallback=forward)


def _server(  # noqa: PLR0913, PLR0917 - a row of a table
    host: str,
    ip: str,
    shows: str,
    reason: Reason | None,
    outgoing: Mapping[str, object],
    proxy: Proxy = pass_through,
    also: frozenset[tuple[Stage, Reason]] = HEALTHY,
) -> LabServer:
    """A server without delegation. `outgoing` are options of its requests to others."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:8448": federates(host, proxy=proxy)},
        expected=also | (frozenset({(Stage.OUTBOUND, reason)}) if reason else HEALTHY),
        outgoing=outgoing,
    )


BOTH_WAYS_SERVERS = (
    _server("both-ways.lab.test", "192.0.2.201", "a server that reaches others, asked for a room alias", None, {}),
    _server(
        "notary-way.lab.test",
        "192.0.2.202",
        "a server that reaches others, asked as a notary: its client API is closed",
        None,
        {"offers": {OutboundMethod.NOTARY}},
    ),
    _server(
        "signed-way.lab.test",
        "192.0.2.203",
        "a server that reaches others, after a signed request: it answers nothing else",
        None,
        {"offers": frozenset()},
    ),
    _server(
        "no-egress.lab.test",
        "192.0.2.204",
        "a firewall that stops every connection to others",
        Reason.OUTBOUND_UNREACHABLE,
        {"reaches": frozenset()},
    ),
    LabServer(
        "no-ipv6-egress.lab.test",
        "a container without a route for IPv6, behind a proxy that has IPv6 addresses",
        Method.DEFAULT_8448,
        zone="""
            no-ipv6-egress.lab.test A 192.0.2.210
            no-ipv6-egress.lab.test AAAA 2001:db8::210
        """,
        ports=dict.fromkeys(("192.0.2.210:8448", "[2001:db8::210]:8448"), federates("no-ipv6-egress.lab.test")),
        warnings=frozenset({WarningName.OUTBOUND_IPV6_BROKEN}),
        outgoing={"reaches": {IPFamily.IPV4}},
    ),
    LabServer(
        "no-ipv4-egress.lab.test",
        "a machine that has only IPv6, without NAT64",
        Method.DEFAULT_8448,
        zone="no-ipv4-egress.lab.test AAAA 2001:db8::211",
        ports={"[2001:db8::211]:8448": federates("no-ipv4-egress.lab.test")},
        warnings=frozenset({WarningName.OUTBOUND_IPV4_BROKEN}),
        outgoing={"reaches": {IPFamily.IPV6}},
    ),
    LabServer(
        "only-by-notary.lab.test",
        "a firewall that stops every connection to others but its notary, which answers for them",
        Method.DEFAULT_8448,
        zone="only-by-notary.lab.test A 192.0.2.209",
        ports={"192.0.2.209:8448": federates("only-by-notary.lab.test")},
        warnings=frozenset({WarningName.OUTBOUND_BY_NOTARY_ONLY}),
        outgoing={"reaches": frozenset(), "notary": "notary.lab.test", "offers": frozenset()},
    ),
    _server(
        "allow-list.lab.test",
        "192.0.2.205",
        "an allow-list without the exporter",
        Reason.FEDERATION_DENIED,
        {"allows": False},
    ),
    _server(
        "clock-ahead.lab.test",
        "192.0.2.206",
        "a clock that is a day ahead",
        Reason.OUTBOUND_CLOCK,
        {"clock_ahead_seconds": 24 * 3600.0},
    ),
    _server(
        "no-authorization.lab.test",
        "192.0.2.207",
        "a reverse proxy that strips the Authorization header",
        Reason.AUTHORIZATION_STRIPPED,
        {},
        strip_authorization,
    ),
    _server(
        "decoded-path.lab.test",
        "192.0.2.208",
        "a reverse proxy that decodes paths, which signed requests show as well",
        Reason.SIGNATURE_REJECTED,
        {},
        decode_paths,
        frozenset({(Stage.PROXY, Reason.PATH_DECODED)}),
    ),
)
"""Their problems are those of a probe with a deep look and a look at the other direction."""
