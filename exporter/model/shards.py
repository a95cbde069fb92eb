"""One list of servers, divided among several exporters. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer

_MAX_COUNT = 10_000  # more than enough: there are not many more public Matrix servers
_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count`, counted from 0. Every server is in exactly one part, the same on every machine."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, index: str | None, count: str | None) -> Self:
        """Parse both as written on the command line. Raises ValueError.

        `index` may be the name of a pod, such as exporter-3. Without both there is one shard, with every server.
        """
        if index is None and count is None:
            return cls()
        if index is None or count is None:
            raise ValueError("--shard.index and --shard.count go together: add the one that is missing")
        return cls._validate(_parse_ordinal(index), _parse_whole(count))

    @classmethod
    def _validate(cls, index: int | None, count: int | None) -> Self:
        if count is None or not 1 <= count <= _MAX_COUNT:
            raise ValueError(f"--shard.count: expected a whole number from 1 to {_MAX_COUNT}")
        if index is None or index >= count:
            expected = f"expected a whole number from 0 to {count - 1}, or a name that ends in one, such as exporter-0"
            raise ValueError(f"--shard.index: {expected}")
        return cls(index, count)

    def select(self, servers: Iterable[WatchedServer]) -> tuple[WatchedServer, ...]:
        """Return the servers of this shard, in the order of the list."""
        return tuple(server for server in servers if self.contains(server.server_name))

    def contains(self, name: ServerName) -> bool:
        return bucket(digest(name), self.count) == self.index


def _parse_ordinal(text: str) -> int | None:
    """Return the number, or the number after the last hyphen: a StatefulSet names its pods that way."""
    name, hyphen, number = text.rpartition("-")
    return _parse_whole(number) if name or not hyphen else None


def _parse_whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_MAX_COUNT)) else None


def digest(name: ServerName, purpose: bytes = b"shard") -> int:
    """Return a 64-bit hash of a server name, which differs by purpose and from the hash of the schedule.

    With one hash for all, the servers of a shard would all be due at the same times, or share one worker.
    """
    return int.from_bytes(hashlib.blake2b(name.text.encode(), digest_size=_HASH_BITS // 8, person=purpose).digest())


def bucket(key: int, count: int) -> int:
    """Return a bucket from 0 to `count` - 1. An additional bucket takes its share from all others; nothing else moves.

    This is jump consistent hash: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014.
    """
    chosen, following = 0, 0
    while following < count:
        chosen = following
        key = (key * 2862933555777941757 + 1) % 2**_HASH_BITS
        following = int((chosen + 1) * (2**31 / ((key >> 33) + 1)))
    return chosen
