"""One list of servers, shared between several exporters: each watches its own part of it. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer

_MAX_COUNT = 10_000  # more exporters than there are Matrix servers for
_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index`, from 0 on, of `count`. Every server is in exactly one part, the same on every machine."""

    index: int = 0
    count: int = 1

    @classmethod
    def of(cls, index: str | None, count: str | None) -> Self:
        """As they were written; `index` may be the name of a pod, such as exporter-3. Raises ValueError."""
        if index is None and count is None:
            return cls()
        if index is None or count is None:
            raise ValueError("--shard.index and --shard.count go together: add the one that is missing")
        return cls.checked(_ordinal(index), _whole(count))

    @classmethod
    def checked(cls, index: int | None, count: int | None) -> Self:
        if count is None or not 1 <= count <= _MAX_COUNT:
            raise ValueError(f"--shard.count: expected a whole number from 1 to {_MAX_COUNT}")
        if index is None or index >= count:
            wanted = f"expected a whole number from 0 to {count - 1}, or a name that ends in one, such as exporter-0"
            raise ValueError(f"--shard.index: {wanted}")
        return cls(index, count)

    def part(self, servers: Iterable[WatchedServer]) -> tuple[WatchedServer, ...]:
        return tuple(server for server in servers if self.holds(server.server_name))

    def holds(self, name: ServerName) -> bool:
        return bucket(digest(name), self.count) == self.index


def _ordinal(text: str) -> int | None:
    """A number, or the number after the last hyphen, which a StatefulSet gives to each of its pods."""
    name, hyphen, number = text.rpartition("-")
    return _whole(number) if name or not hyphen else None


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_COUNT)) else None


def digest(name: ServerName, purpose: bytes = b"shard") -> int:
    """Another one for each purpose, and than that of the schedule: else the servers of a shard would all be due at the
    same times, or have the same worker.
    """
    return int.from_bytes(hashlib.blake2b(name.text.encode(), digest_size=_HASH_BITS // 8, person=purpose).digest())


def bucket(key: int, count: int) -> int:
    """From 0 to below `count`. One bucket more takes its share from all others, and nothing else moves.

    Jump consistent hash: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014.
    """
    chosen, following = 0, 0
    while following < count:
        chosen = following
        key = (key * 2862933555777941757 + 1) % 2**_HASH_BITS
        following = int((chosen + 1) * (2**31 / ((key >> 33) + 1)))
    return chosen
