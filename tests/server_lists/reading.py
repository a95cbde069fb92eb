"""Reads a large list in a process of its own: `python -m tests.server_lists.reading NAME` prints what it takes."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.config import ConfigError
from exporter.config.yaml_reader import MAX_VALUES
from exporter.server_lists import file_sd
from exporter.server_lists.source import MAX_BYTES, Listing

MAX_SERVERS = 50_000
_MIB = 2**20


def _json(item: str, count: int) -> bytes:
    return f'[{{"targets": [{",".join([item] * count)}]}}]'.encode()


def _distinct_names(line: str, size: int) -> Iterator[str]:
    return (line.format(f"server-{number:06}.some.example.org") for number in range(size // len(line.format("x" * 30))))


LISTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "names": ("a.json", lambda: _json(",".join(_distinct_names('"{}"', MAX_BYTES - _MIB)), 1)),
    "names in YAML": ("a.yaml", lambda: "".join(["- targets:\n", *_distinct_names("  - {}\n", 7 * _MIB)]).encode()),
    "invalid names": ("a.json", lambda: _json('"x_"', MAX_VALUES - 10)),
    "invalid names in YAML": ("a.yaml", lambda: b"- targets:\n" + b"  - x_\n" * (MAX_VALUES - 10)),
    "4 MiB of invalid names": ("a.json", lambda: _json('"https://x"', 4 * _MIB // 12)),
    "8 MiB of empty groups": ("a.json", lambda: b"[" + b"{}," * (MAX_BYTES // 3 - 10) + b"{}]"),
    "groups with an unknown key": ("a.json", lambda: b"[" + b'{"a":{}},' * (MAX_VALUES // 3 - 10) + b"{}]"),
    "lists in lists": ("a.json", lambda: _json("[]", MAX_VALUES // 2 - 10)),
    "a group with many keys": (
        "a.json",
        lambda: b"[" + json.dumps({f"{number:x}": 1 for number in range(MAX_VALUES - 10)}).encode() + b"]",
    ),
    "long numbers": ("a.json", lambda: _json("1" * 4300, MAX_BYTES // 4301 - 10)),
    "a duplicate key": ("a.yaml", lambda: b"- {" + b"a: 1, " * (MAX_VALUES // 2 - 10) + b"}"),
    "a long name of wide characters": (
        "a.json",
        lambda: _json('"\N{GRINNING FACE}' + "x" * (MAX_BYTES - 100) + '"', 1),
    ),
}
"""The path and the content of each list: the largest that are accepted, and larger ones."""


def read(name: str) -> dict[str, object]:
    path, content = LISTS[name][0], LISTS[name][1]()
    assert len(content) <= MAX_BYTES
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _memory("VmRSS")
    started = time.process_time()
    with _watching_the_lock() as stretches:
        try:
            listing = file_sd.read_file(path, content, MAX_SERVERS)
        except ConfigError as error:
            listing = Listing(complaints=error.complaints)
    return {
        "mebibytes": (_memory("VmHWM") - before) / _MIB,
        "seconds": time.process_time() - started,
        "longest_stretch": max(stretches),
        "names": len(listing.servers),
        "rejected": listing.rejected,
        "complaints": len(listing.complaints),
    }


def _memory(key: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(key)).split()[1]) * 1024


@contextmanager
def _watching_the_lock() -> Iterator[list[float]]:
    """Yield the seconds of CPU that this process took between two turns of another thread, such as the event loop's."""
    stretches = [0.0]
    done = threading.Event()

    def take_turns() -> None:
        while not done.is_set():
            before = time.process_time()
            time.sleep(0.001)
            stretches.append(time.process_time() - before)

    other = threading.Thread(target=take_turns)
    other.start()
    try:
        yield stretches
    finally:
        done.set()
        other.join()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read(sys.argv[1])))
