"""The listener for other homeservers: an ASGI application around the peer, on sockets of its own."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from exporter.config import OutboundSettings
from exporter.model import names
from exporter.model.enums import IPFamily
from exporter.outbound.peer import Peer, PeerRequest
from exporter.web.listeners import bind, describe
from exporter.web.server import Server
from exporter.web.settings.pair import LivePair

_CHOOSE_ADDRESS = "choose the address with `outbound.listen` in the configuration"


@asynccontextmanager
async def listen_as_peer(peers: Sequence[Peer], settings: OutboundSettings) -> AsyncIterator[str]:
    """Answer other servers within `async with`, under the name that they ask for, or else the first one. Yield the
    addresses with the real ports, for the log.

    Raises ListenError, UnreadableError or ssl.SSLError.
    """
    tls = LivePair(settings.tls.cert_file, settings.tls.key_file).tls() if settings.tls else None
    sockets = bind(settings.listen, _CHOOSE_ADDRESS)
    async with Server(build_peer_site(peers, tls), sockets, tls):
        yield describe(sockets)


def build_peer_site(peers: Sequence[Peer], tls: ssl.SSLContext | None) -> ASGIApp:
    """Return the ASGI application that answers as the peers. Without `tls`, a reverse proxy hides who asks."""
    return partial(_respond, peers, tls)


async def _respond(
    peers: Sequence[Peer], tls: ssl.SSLContext | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Close the connection after each response: a request over a connection that is kept would prove less."""
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    received = Headers(scope=scope)
    request = PeerRequest(
        scope["method"],
        f"{path}?{query}" if query else path,
        received.get("authorization"),
        _ip_family(scope) if tls else None,
    )
    answer = _choose_peer(peers, received.get("host", "")).respond(request)
    headers = {"Connection": "close", "Content-Type": "application/json"}
    if answer.cache_seconds is not None:
        headers["Cache-Control"] = f"max-age={answer.cache_seconds}"
    await Response(answer.body, answer.status, headers)(scope, receive, send)


def _choose_peer(peers: Sequence[Peer], host_header: str) -> Peer:
    """Return the peer whose name a client asks for, with any port, or else the first one."""
    try:
        host = names.parse(host_header).host.lower()
    except names.InvalidServerNameError:
        return peers[0]
    return next((peer for peer in peers if peer.name.host.lower() == host), peers[0])


def _ip_family(scope: Scope) -> IPFamily | None:
    """Return the family that a client used, who may also have come over IPv4 to a socket of IPv6."""
    if not scope["client"]:
        return None
    ip = ip_address(scope["client"][0])
    return IPFamily.IPV4 if ip.version == 4 or ip.ipv4_mapped else IPFamily.IPV6
