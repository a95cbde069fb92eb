"""A homeserver that connects to another one, when it is made to: by a room alias, as a notary, or to verify a request.

It answers as Synapse does, for good and for bad.
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import h11

from exporter.demo.homeserver import KEYS, Homeserver, JsonObject, error, key_id, sign_as
from exporter.demo.https_server import Request, Response, json_response, next_event
from exporter.model.enums import IPFamily, OutboundMethod
from exporter.outbound.signing import SigningKey, parse_authorization

_ALIAS: Final = re.compile(r"/_matrix/client/v3/directory/room/([^/]+)")
_SIGNED: Final = re.compile(r"/_matrix/federation/v1/(event/[^/]+|query/profile)")
_QUERY: Final = "/_matrix/key/v2/query"
_DIRECTORY: Final = "/_matrix/federation/v1/query/directory"
_SECONDS = 5.0  # for a request to another server
_EMPTY: Final = Response(404, (("Content-Type", "application/json"),), b'""')


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The one other server that a homeserver of the embedded federation connects to, under one or more names."""

    names: Mapping[str, Collection[IPFamily]]
    """The IP families of the addresses of each name."""
    address: str
    """`127.0.0.1:port`, with TLS, which stands for all of them."""
    ca_file: Path


@dataclass(slots=True)
class OutgoingRequests:
    """The requests of a homeserver to a neighbour, and how they may fail."""

    homeserver: Homeserver
    neighbour: Neighbour
    reaches: Collection[IPFamily] = frozenset(IPFamily)
    """A firewall or a missing route stops connections to others over the other IP families."""
    allows: bool = True
    """False: the neighbour is not on the allow-list."""
    clock_ahead_seconds: float = 0.0
    notary: str | None = None
    """Another server that it asks for keys before it fetches them itself. It has verified the neighbour before."""
    offers: Collection[OutboundMethod] = field(default_factory=lambda: frozenset(OutboundMethod))

    async def respond(self, request: Request) -> Response | None:
        if (alias := _ALIAS.fullmatch(request.path)) and OutboundMethod.ALIAS in self.offers:
            return await self._look_up(unquote(alias[1]))
        if request.path == _QUERY and OutboundMethod.NOTARY in self.offers:
            return await self._query(request)
        if _SIGNED.fullmatch(request.path) and request.authorization:
            return await self._authenticate(request)
        return None

    async def _look_up(self, alias: str) -> Response:
        uri = f"{_DIRECTORY}?room_alias={quote(alias, safe='')}"
        answer = await self._get(uri, alias.partition(":")[2]) if self.allows else None
        if answer is None:
            return error(502, "M_UNKNOWN", "Failed to fetch alias")
        return json_response(answer) if "room_id" in answer else error(404, "M_NOT_FOUND", "Room alias not found")

    async def _query(self, request: Request) -> Response:
        wanted = json.loads(request.body)["server_keys"]
        name = next((each for each in self.neighbour.names if each in wanted), None)
        document = await self._get(KEYS, name) if self.allows and name else None
        documents = [sign_as(self.homeserver, document)] if document and "verify_keys" in document else []
        return json_response({"server_keys": documents})

    async def _authenticate(self, request: Request) -> Response:
        """Authenticate the request, and find nothing."""
        credentials = parse_authorization(request.authorization)
        if credentials is None:
            return error(400, "M_UNAUTHORIZED", "Malformed Authorization header")
        if not self.allows:
            return error(403, "M_FORBIDDEN", f"Federation denied with {credentials.origin}.")
        if self.notary:
            await self._exchange(KEYS, credentials.origin, self.notary)
            return _EMPTY
        document = await self._get(KEYS, credentials.origin)
        now = (time.time() + self.clock_ahead_seconds) * 1000
        if document is None or document.get("valid_until_ts", 0) < now:
            return error(401, "M_UNAUTHORIZED", f"Failed to find any key to satisfy: {credentials.key_id}")
        keys = {name: entry["key"] for name, entry in document["verify_keys"].items()}
        complaint = credentials.complaint(request.method, request.target, self.homeserver.server_name, keys)
        return error(401, "M_UNAUTHORIZED", f"Invalid signature for server: {complaint}") if complaint else _EMPTY

    async def _get(self, uri: str, name: str) -> JsonObject | None:
        """Send a signed request to a name of the neighbour. Return None if it cannot be reached."""
        families = self.neighbour.names.get(name, ())
        if not any(family in self.reaches for family in families):
            return None
        return await self._exchange(uri, name, self.homeserver.server_name)

    async def _exchange(self, uri: str, name: str, sender: str) -> JsonObject | None:
        """Send a request that `sender` signs. Return None if there is no answer."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._send(uri, name, sender)
        except (OSError, ValueError):
            return None

    async def _send(self, uri: str, name: str, sender: str) -> JsonObject:
        host, _, port = self.neighbour.address.rpartition(":")
        key = SigningKey(sender, key_id(self.homeserver.key), self.homeserver.key)
        headers = [("Host", name), ("Authorization", key.authorization(uri, name)), ("Connection", "close")]
        context = ssl.create_default_context(cafile=self.neighbour.ca_file)
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
        http = h11.Connection(h11.CLIENT)
        try:
            writer.write(http.send(h11.Request(method="GET", target=uri, headers=headers)) or b"")
            body = b""
            while isinstance(event := await next_event(http, reader), h11.Response | h11.Data):
                body += bytes(event.data) if isinstance(event, h11.Data) else b""
            answer: Any = json.loads(body)
            return answer if isinstance(answer, dict) else {}
        finally:
            writer.close()
