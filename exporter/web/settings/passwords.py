"""Users and passwords of basic authentication (RFC 7617)."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import bcrypt

_MAX_PASSWORD = 72  # bytes; bcrypt uses no more, and other programs silently leave the rest out


@dataclass(frozen=True, slots=True)
class Credentials:
    user: bytes
    password: bytes = field(repr=False)


def credentials(authorization: str) -> Credentials | None:
    """Of the header; none where it holds no such thing."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return Credentials(user, password[:_MAX_PASSWORD]) if colon else None


class Passwords:
    """bcrypt is slow on purpose: it runs in a thread, one at a time, and what was right is remembered."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """At least one user, each with a hash."""
        self._hashes = {user.encode(): hashed.encode() for user, hashed in users.items()}
        self._secret = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._one_at_a_time = asyncio.Lock()

    async def verify(self, given: Credentials) -> bool:
        mark = self._mark(given)
        if mark not in self._right:
            await self._one_at_a_time.acquire()
            learning = asyncio.create_task(self._learn(mark, given))
            learning.add_done_callback(lambda _: self._one_at_a_time.release())
            await asyncio.shield(learning)  # a thread does not end where its client leaves, and the next one must wait
        return mark in self._right

    async def _learn(self, mark: bytes, given: Credentials) -> None:
        if mark not in self._right and await asyncio.to_thread(self._check, given):
            self._right.add(mark)

    def _mark(self, given: Credentials) -> bytes:
        """Keyed, so that neither memory nor the time of a look-up tells anything about a password."""
        length = len(given.user).to_bytes(8, "big")
        return hashlib.blake2b(length + given.user + given.password, key=self._secret).digest()

    def _check(self, given: Credentials) -> bool:
        """In the same time for users that do not exist, or their names could be found out."""
        hashed = self._hashes.get(given.user)
        some = next(iter(self._hashes.values()))
        return bcrypt.checkpw(given.password, hashed or some) and hashed is not None
