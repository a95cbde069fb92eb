"""One probe in a process of its own: what it found, and what it cost and left behind."""

import asyncio
import ctypes
import gc
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from structlog.testing import capture_logs

from exporter.config import Config
from exporter.model.enums import Stage
from exporter.model.names import ServerName, parse
from exporter.model.outcomes import Failed
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.wiring import build_prober

RESET_PEAK = "5"  # /proc/[pid]/clear_refs (proc(5)): the peak of resident memory becomes what is resident now
MAX_GARBAGE = 200  # objects; asyncio's race for the first of 24 addresses leaves seven for each
HANGS_AFTER = 4  # times its timeout: no probe with its deep look takes so long, unless it never ends
LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Finding:
    problems: frozenset[tuple[Stage, Reason]]
    seconds: float
    """Of the probe, or of the deep look, whichever took longer."""
    grown_bytes: int
    """By how much resident memory, that of C libraries too, was larger at its peak than before the probe. The kernel
    counts with an error of some 100 KiB.
    """
    left_over: tuple[str, ...]
    """Tasks, file descriptors, and objects that only the garbage collector frees."""
    errors: tuple[str, ...]
    """Whatever was logged as an error, or came to the event loop, where nobody expected it."""


class Prober(Protocol):
    async def probe(self, name: ServerName) -> Report: ...

    async def run_deep_look(self, report: Report) -> Report: ...


def measure(config: Config, healthy: str, server_name: str) -> Finding:
    """A `healthy` server is probed before, so that what is made once is not taken for the work of this probe."""
    gc.freeze()  # what is loaded stays: to look through it again and again would take longer than all else
    with capture_logs() as logged:
        finding = asyncio.run(watch(build_prober(config), healthy, server_name, HANGS_AFTER * config.probe.timeout))
    logged_errors = tuple(str(event) for event in logged if event["log_level"] == "error")
    return replace(finding, errors=finding.errors + logged_errors)


async def watch(prober: Prober, healthy: str, server_name: str, hangs_after: float) -> Finding:
    unexpected: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unexpected.append(str(context)))
    await look(prober, healthy)
    gc.disable()  # so that what it would find is found afterwards
    descriptors, resident = open_descriptors(), resident_peak()
    try:
        async with asyncio.timeout(hangs_after):
            problems, seconds = await look(prober, server_name)
    except TimeoutError:
        problems, seconds = frozenset(), hangs_after
    grown = peak() - resident
    garbage = await settle()
    gc.enable()
    tasks = [str(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    left_over = (*tasks, *sorted(open_descriptors() - descriptors))
    if garbage > MAX_GARBAGE:
        left_over += (f"{garbage} objects that hold one another",)
    return Finding(problems, seconds, grown, left_over, tuple(unexpected))


async def look(prober: Prober, server_name: str) -> tuple[frozenset[tuple[Stage, Reason]], float]:
    """A probe and a deep look."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    report = await prober.probe(parse(server_name))
    probed = loop.time()
    report = await prober.run_deep_look(report)
    problems = frozenset(
        (stage, problem.reason)
        for stage, _, outcome in report.outcomes()
        if isinstance(outcome, Failed)
        for problem in outcome.problems
    )
    return problems, max(probed - started, loop.time() - probed)


async def settle() -> int:
    """What was closed or cancelled ends in the next turns of the loop. How many objects are garbage then."""
    for _ in range(3):
        await asyncio.sleep(0)
    return gc.collect()


def open_descriptors() -> set[str]:
    """Each with what it leads to; but for that with which the folder is read, which is closed by then."""
    opened = set()
    for file in tuple(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):
            opened.add(f"{file.name} -> {file.readlink()}")
    return opened


def resident_peak() -> int:
    """Bytes; all that is free is given back before, so that nothing grows into it unseen."""
    gc.collect()
    LIBC.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    return peak()


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) * 1024
