"""Which exporter watches which server, if several exporters share one list."""

import re
from collections import Counter
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer
from exporter.model.shards import Shard, bucket, digest
from exporter.scheduling.grid import fraction

PUBLIC = (Path(__file__).parent / "server_names.txt").read_text(encoding="utf-8").split()
"""Names that servers of the public federation have or had."""
HOSTS = ("", *(f"{host}." for host in ("matrix", "chat", "synapse", "hs", "m", "im", "talk", "federation", "web")))
PORTS = ("", ":443", ":8448", ":8008")
SIMILAR = [
    names.parse(f"{host}{number}{name}{port}")
    for host, number, name, port in product(HOSTS, ("", "a.", "b-1.", "b-2.", "b-3."), PUBLIC, PORTS)
]
"""Ten thousand names that differ very little, like the names at one hosting provider."""


def watched_servers(server_names: list[ServerName]) -> tuple[WatchedServer, ...]:
    return tuple(WatchedServer(name, 300.0) for name in server_names)


SERVERS = watched_servers(SIMILAR)


@cache
def shards(count: int) -> list[tuple[WatchedServer, ...]]:
    """Return the servers of each shard of `count`. Every shard selects its servers independently."""
    return [Shard(index, count).select(SERVERS) for index in range(count)]


def shard_indexes(count: int) -> dict[ServerName, int]:
    """Return which shard of `count` each server is in."""
    return {server.server_name: index for index, part in enumerate(shards(count)) for server in part}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10])
def test_shards_together_watch_every_server_exactly_once(count: int) -> None:
    """Servers keep their settings and the order of the list."""
    parts = shards(count)
    together = Counter(server for part in parts for server in part)
    assert together == Counter(SERVERS)
    for part in parts:
        selected = set(part)
        assert part == tuple(server for server in SERVERS if server in selected)


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_shards_are_of_equal_size(count: int) -> None:
    """Sizes differ by less than a tenth, even if the names are similar."""
    share = len(SIMILAR) / count
    assert all(0.9 * share < size < 1.1 * share for size in Counter(shard_indexes(count).values()).values())


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_an_additional_shard_takes_its_share_and_nothing_else_moves(count: int) -> None:
    """From two shards to three, a third of the servers move; a modulus would move two thirds."""
    before, after = shard_indexes(count), shard_indexes(count + 1)
    moved = [name for name in SIMILAR if before[name] != after[name]]
    assert {after[name] for name in moved} == {count}
    assert len(moved) / len(SIMILAR) == pytest.approx(1 / (count + 1), rel=0.1)


def test_a_shard_is_probed_as_evenly_as_the_whole_list() -> None:
    """The shard of a server and the time at which it is due are independent."""
    for index in range(4):
        part = Shard(index, 4).select(SERVERS)
        tenths = Counter(int(fraction(server.server_name) * 10) for server in part)
        assert all(0.07 < tenths[tenth] / len(part) < 0.13 for tenth in range(10))


def test_the_shard_of_a_server_never_changes() -> None:
    """It depends on neither machine nor version: two exporters must agree while one of them is upgraded."""
    assert {name: [bucket(digest(names.parse(name)), count) for count in (2, 3, 10)] for name in PUBLIC[:4]} == {
        "matrix.org": [0, 0, 8],
        "mozilla.org": [1, 2, 2],
        "kde.org": [1, 2, 2],
        "gnome.org": [1, 1, 1],
    }


def test_the_hash_agrees_with_other_implementations() -> None:
    """These are known answers of other implementations of the paper."""
    known = {(1, 1): 0, (42, 57): 43, (0xDEAD10CC, 1): 0, (0xDEAD10CC, 666): 361, (256, 1024): 520}
    assert {(key, count): bucket(key, count) for key, count in known} == known


@pytest.mark.parametrize(
    ("index", "count", "shard"),
    [
        (None, None, Shard(0, 1)),
        ("0", "1", Shard(0, 1)),
        ("2", "3", Shard(2, 3)),
        ("exporter-2", "3", Shard(2, 3)),
        ("matrix-federation-exporter-11", "12", Shard(11, 12)),
        ("9999", "10000", Shard(9999, 10000)),
    ],
)
def test_parses_numbers_and_pod_names(index: str | None, count: str | None, shard: Shard) -> None:
    """The index of a pod is the number after its last hyphen. Without both options, one shard has every server."""
    assert Shard.parse(index, count) == shard


TOGETHER = "--shard.index and --shard.count go together: add the one that is missing"
COUNT = "--shard.count: expected a whole number from 1 to 10000"
INDEX = "--shard.index: expected a whole number from 0 to 2, or a name that ends in one, such as exporter-0"


@pytest.mark.parametrize(
    ("index", "count", "complaint"),
    [
        ("0", None, TOGETHER),
        (None, "3", TOGETHER),
        *(("0", count, COUNT) for count in ("0", "-1", "", "two", "1.5", "10001", "99999999999", "\u0663")),
        *((index, "3", INDEX) for index in ("3", "-1", "", "exporter", "exporter-", "exporter-3", "1.0", "99999999")),
    ],
)
def test_rejects_invalid_values(index: str | None, count: str | None, complaint: str) -> None:
    """The message says what is expected."""
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}$"):
        Shard.parse(index, count)
