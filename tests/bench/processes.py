"""Starts the probed servers in a process of their own, whose work is not counted, and measures what processes use."""

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
from typing import Any, Literal

SELF, CHILDREN = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
TICKS, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@contextmanager
def served_by(module: str, *arguments: str) -> Iterator[Path]:
    """Yield the exporter's configuration for the servers that `module` runs until the end of the block."""
    with Popen([sys.executable, "-m", module, *arguments], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        config_file = process.stdout.readline().rstrip()
        if not config_file:
            raise SystemExit(f"{module} did not start")
        yield Path(config_file)


async def serve_until_end_of_input(configuration: Mapping[str, Any]) -> None:
    """Serve in the process that `served_by` starts, until the other process closes its end of the pipe or ends."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration))
        sys.stdout.write(f"{file}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def cpu_seconds(whose: int) -> float:
    """Return the CPU time of the own process or of its children that have ended, user and system."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds_of(pid: int) -> float:
    """Return the CPU time of any process, user and system, to a hundredth of a second."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_bytes(pid: int | Literal["self"] = "self") -> int:
    """Return the resident memory of a process, by default the own one."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
