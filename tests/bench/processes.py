"""Servers to be probed, in a process of their own, so that their work is not taken for the exporter's.

And what a process uses.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

SELF, CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
TICKS, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@contextmanager
def served_by(module: str, *arguments: str) -> Iterator[Path]:
    """The exporter's configuration for what `module` serves until the end of the block."""
    with Popen([sys.executable, "-m", module, *arguments], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        announced = process.stdout.readline().rstrip()
        if not announced:
            raise SystemExit(f"{module} did not start")
        yield Path(announced)


async def serve_until_end_of_input(configuration: Mapping[str, Any]) -> None:
    """The other side of `served_by`: it ends with whoever started it, however that comes to its end."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration))
        sys.stdout.write(f"{file}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def cpu_seconds(whose: int) -> float:
    """User and system."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds_of(pid: int) -> float:
    """The same of any process, to a hundredth."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_bytes() -> int:
    """Ours, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
