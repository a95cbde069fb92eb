"""Answers other servers as a homeserver does, and records which of them connect during a look.

It supports the requests that the server-server API requires of every homeserver, and the lookup that a look provokes.
It stores nothing, and has no rooms and no users.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

from exporter import DISTRIBUTION, VERSION
from exporter.model.enums import IPFamily
from exporter.model.names import ServerName
from exporter.outbound.signing import Credentials, JsonObject, SigningKey, parse_authorization
from exporter.probing.stages import directory, keys, version, well_known

_MIN_VALIDITY_SECONDS = 60  # of the keys, for clocks that differ slightly
_VALID_SHARE = 0.8  # of the interval between looks: a server must have forgotten the keys by the next one
_REFRESH_SECONDS = 1.0  # the keys are signed anew at most so often, unless a look begins
_MAX_ARRIVALS = 16  # that are kept of one look
_MAX_PARAMETERS = 8  # of a query: room_alias, and some that are unknown and ignored
_WELL_KNOWN_CACHE_SECONDS = 300
_WELL_KNOWN_PORT = 443
_NONCE_BYTES = 12
_NOT_CHECKED_YET: Final = "the exporter has not reached its own listener yet"


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """A request of another server, as it arrived."""

    method: str
    uri: str
    """The path and the query, exactly as they were sent: they are signed."""
    authorization: str | None = None
    ip_family: IPFamily | None = None
    """The IP family of the connection; None if a reverse proxy hides it."""


@dataclass(frozen=True, slots=True)
class PeerResponse:
    """A response, whose body is JSON."""

    status: int
    content: JsonObject
    cache_seconds: int | None = None

    @property
    def body(self) -> bytes:
        return json.dumps(self.content, separators=(",", ":")).encode()


class Purpose(StrEnum):
    """What a server requested."""

    KEYS = "keys"
    ALIAS = "alias"


class Signature(StrEnum):
    """Whether the request of a server was signed."""

    GOOD = "good"
    BAD = "bad"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that arrived during a look, and that the look may have provoked."""

    purpose: Purpose
    at: float
    """On the clock of the peer, in seconds."""
    signature: Signature
    ip_family: IPFamily | None = None
    complaint: str | None = None
    """What is wrong with the signature."""


@dataclass(frozen=True, eq=False)
class Expectation:
    """The requests that one look waits for, and those that have arrived so far. Compared by identity."""

    server_name: str
    keys: Mapping[str, str]
    """The public keys of the server, by key ID."""
    began: float
    """On the clock of the peer, in seconds."""
    signed_after: int
    """Key documents whose `valid_until_ts` is greater were made for this look, or after it began."""
    localpart: str = field(default_factory=lambda: secrets.token_hex(_NONCE_BYTES))
    """The local part of a room alias that only this look knows."""
    room: str = field(default_factory=lambda: secrets.token_hex(_NONCE_BYTES))
    """The local part of a room ID that a server can only know from the response to a request for the alias."""
    arrivals: list[Arrival] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)
    """Other servers that requested the keys during the look, such as notaries. They did not get them."""

    def came(self, purpose: Purpose) -> Arrival | None:
        """Return the first arrival with a good signature, or the first of all, or None."""
        those = [each for each in self.arrivals if each.purpose is purpose]
        return next((each for each in those if each.signature is Signature.GOOD), those[0] if those else None)

    def add(self, arrival: Arrival) -> None:
        if len(self.arrivals) < _MAX_ARRIVALS:
            self.arrivals.append(arrival)


class Peer:
    """Answers other servers under one name of the exporter, and with its key.

    `interval` is the time between two looks at one server, in seconds. `clock` returns seconds of a steady clock, and
    `now` the seconds since 1970. `ip_family` is that of all addresses of the name, or None if it has those of both.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it is, how often it is used, and two clocks
        self,
        name: ServerName,
        key: SigningKey,
        interval: float,
        clock: Callable[[], float],
        now: Callable[[], float],
        ip_family: IPFamily | None = None,
    ) -> None:
        self.name = name
        self.key = key
        self.ip_family = ip_family
        self.obstacle: str | None = _NOT_CHECKED_YET
        """Why other servers do not get through to the listener under this name; None once they do."""
        self._validity = max(_MIN_VALIDITY_SECONDS, _VALID_SHARE * interval)
        self.clock = clock
        self._now = now
        self._expected: set[Expectation] = set()
        self._document: PeerResponse | None = None
        self._valid_until = 0
        self._signed_at = 0.0
        self._resources: Final[dict[str, Callable[[PeerRequest], PeerResponse]]] = {
            version.PATH: self._version,
            keys.PATH: self._keys,
            directory.PATH: self._directory,
            **({} if name.port or name.ip else {well_known.PATH: self._well_known}),
        }

    def __repr__(self) -> str:
        return f"<Peer {self.name}: {self.key.key_id}, {len(self._expected)} looks>"

    @contextmanager
    def expect(self, server_name: str, public_keys: Mapping[str, str]) -> Iterator[Expectation]:
        """Record the requests of a server within `with`, and verify its signatures with its public keys."""
        self._document = None
        expected = Expectation(server_name, public_keys, self.clock(), self._valid_until)
        self._expected.add(expected)
        try:
            yield expected
        finally:
            self._expected.discard(expected)

    @property
    def latest_validity(self) -> int:
        """A time that no key document of this peer reaches yet, in milliseconds since 1970."""
        return int((self._now() + 2 * self._validity) * 1000) + 3_600_000

    def room_id(self, expected: Expectation) -> str:
        return f"!{expected.room}:{self.name}"

    def alias(self, expected: Expectation) -> str:
        return f"#{expected.localpart}:{self.name}"

    def respond(self, request: PeerRequest) -> PeerResponse:
        """Respond as the specification says, also to what is not supported."""
        resource = self._resources.get(request.uri.partition("?")[0])
        if resource is None:
            return _error(404, "M_UNRECOGNIZED", "Unrecognized request")
        return resource(request) if request.method == "GET" else _error(405, "M_UNRECOGNIZED", "Unrecognized request")

    # ------------------------------------------------------------ resources

    def _version(self, _: PeerRequest) -> PeerResponse:
        return PeerResponse(200, {"server": {"name": DISTRIBUTION, "version": VERSION}})

    def _well_known(self, _: PeerRequest) -> PeerResponse:
        """A server that reads this has connected to port 443, so it can do so again."""
        host = f"[{self.name.host}]" if ":" in self.name.host else self.name.host
        return PeerResponse(200, {"m.server": f"{host}:{_WELL_KNOWN_PORT}"}, _WELL_KNOWN_CACHE_SECONDS)

    def _keys(self, request: PeerRequest) -> PeerResponse:
        """Return the keys. There are three cases:

        - the request is not signed, like those of Dendrite and the Conduit family: the keys are returned;
        - it is signed by a server that a look waits for, like those of Synapse: the keys are returned;
        - it is signed by another server: the keys are refused. A notary would pass them on to the server that is looked
          at, and so hide that this server cannot connect to the exporter itself.
        """
        credentials = parse_authorization(request.authorization)
        if credentials is None:
            self._note_unsigned()
            return self._signed_document()
        waiting = [each for each in self._expected if each.server_name == credentials.origin]
        if not waiting:
            self._note_stranger(credentials.origin)
            return _error(401, "M_UNAUTHORIZED", "Only servers that are being looked at get the keys")
        for expected in waiting:
            expected.add(self._arrival(Purpose.KEYS, request, expected, credentials))
        return self._signed_document()

    def _directory(self, request: PeerRequest) -> PeerResponse:
        """Return a room only for the alias of a look in progress, which nobody can guess."""
        alias = _room_alias(request.uri)
        expected = next((each for each in self._expected if self.alias(each) == alias), None)
        if expected is None:
            return _error(404, "M_NOT_FOUND", "Room alias not found")
        arrival = self._arrival(Purpose.ALIAS, request, expected, parse_authorization(request.authorization))
        expected.add(arrival)
        if arrival.signature is not Signature.GOOD:
            return _error(401, "M_UNAUTHORIZED", f"Signature rejected: {arrival.complaint}")
        return PeerResponse(200, {"room_id": self.room_id(expected), "servers": [self.name.text]})

    # ------------------------------------------------------------ arrivals

    def _arrival(
        self, purpose: Purpose, request: PeerRequest, expected: Expectation, credentials: Credentials | None
    ) -> Arrival:
        if credentials is None:
            missing = "there is no Authorization header"
            return Arrival(purpose, self.clock(), Signature.MISSING, request.ip_family, missing)
        if credentials.origin != expected.server_name:
            complaint: str | None = "it is signed by another server"
        else:
            complaint = credentials.complaint(request.method, request.uri, self.name.text, expected.keys)
        signature = Signature.BAD if complaint else Signature.GOOD
        return Arrival(purpose, self.clock(), signature, request.ip_family, complaint)

    def _note_unsigned(self) -> None:
        """Any server that a look waits for may have sent it, or none of them."""
        for each in self._expected:
            each.add(Arrival(Purpose.KEYS, self.clock(), Signature.MISSING))

    def _note_stranger(self, origin: str) -> None:
        for each in self._expected:
            if len(each.strangers) < _MAX_ARRIVALS:
                each.strangers.add(origin)

    # ------------------------------------------------------------ keys

    def _signed_document(self) -> PeerResponse:
        """Return the signed keys. Each document has another `valid_until_ts`, which shows when a copy was made."""
        if self._document is None or self.clock() - self._signed_at >= _REFRESH_SECONDS:
            self._valid_until = max(self._valid_until + 1, int((self._now() + self._validity) * 1000))
            self._signed_at = self.clock()
            self._document = PeerResponse(200, self.key.sign(self._unsigned_document()))
        return self._document

    def _unsigned_document(self) -> JsonObject:
        return {
            "server_name": self.name.text,
            "valid_until_ts": self._valid_until,
            "verify_keys": {self.key.key_id: {"key": self.key.public}},
            "old_verify_keys": {},
        }


def _room_alias(uri: str) -> str:
    """Return the room alias that is asked for; empty if there is none, or if there are too many parameters."""
    try:
        return dict(parse_qsl(uri.partition("?")[2], max_num_fields=_MAX_PARAMETERS)).get("room_alias", "")
    except ValueError:
        return ""


def _error(status: int, errcode: str, message: str) -> PeerResponse:
    return PeerResponse(status, {"errcode": errcode, "error": message})
