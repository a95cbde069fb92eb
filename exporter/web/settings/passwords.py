"""Users and passwords of HTTP basic authentication (RFC 7617)."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import bcrypt

from exporter.runtime.fair_lock import FairLock

_MAX_PASSWORD = 72  # bytes; bcrypt uses no more, and other programs silently truncate longer passwords


@dataclass(frozen=True, slots=True)
class Credentials:
    user: bytes
    password: bytes = field(repr=False)


def parse_credentials(authorization: str) -> Credentials | None:
    """Return the credentials in an Authorization header, or None if it does not contain any."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except ValueError:
        return None
    return Credentials(user, password[:_MAX_PASSWORD]) if colon else None


class Passwords:
    """Verifies passwords.

    bcrypt is slow on purpose: it runs in a thread, for one password at a time, and correct passwords are cached.
    Clients take turns, so that one that guesses does not lock the others out.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        """`users` maps names to bcrypt hashes, and has at least one entry."""
        self._hashes = {user.encode(): hashed.encode() for user, hashed in users.items()}
        self._secret = secrets.token_bytes(32)
        self._verified: set[bytes] = set()
        self._bcrypt_lock = FairLock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._hashes)} users, {len(self._verified)} verified>"

    async def verify(self, given: Credentials, client: str) -> bool:
        """Whether the password is that of the user. `client` is the network that it comes from."""
        digest = self._digest(given)
        if digest not in self._verified:
            await self._bcrypt_lock.acquire(client)
            checking = asyncio.create_task(self._check_and_remember(digest, given))
            checking.add_done_callback(lambda _: self._bcrypt_lock.release())
            await asyncio.shield(checking)  # the thread runs on if the client disconnects, and the next one must wait
        return digest in self._verified

    async def _check_and_remember(self, digest: bytes, given: Credentials) -> None:
        if digest not in self._verified and await asyncio.to_thread(self._check, given):
            self._verified.add(digest)

    def _digest(self, given: Credentials) -> bytes:
        """Return a keyed hash: neither the memory nor the time of a lookup may reveal anything about a password."""
        length = len(given.user).to_bytes(8, "big")
        return hashlib.blake2b(length + given.user + given.password, key=self._secret).digest()

    def _check(self, given: Credentials) -> bool:
        """Takes as long for users that do not exist, so that the time does not reveal which users exist."""
        hashed = self._hashes.get(given.user)
        any_hash = next(iter(self._hashes.values()))
        return bcrypt.checkpw(given.password, hashed or any_hash) and hashed is not None
