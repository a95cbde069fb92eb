"""Measures one probe in a process of its own: what it finds, what it costs, and what it leaves behind."""

import asyncio
import ctypes
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from structlog.testing import capture_logs

from exporter.config import Config
from exporter.model.enums import Stage
from exporter.model.names import ServerName, parse
from exporter.model.outcomes import Failed
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.wiring import build_prober

_RESET_PEAK = "5"  # for /proc/[pid]/clear_refs (proc(5)): sets the peak of resident memory to the current value
MAX_GARBAGE = 200  # objects; asyncio's race for the first of 24 addresses leaves seven for each
_HEALTHY_PROBES = 3  # so that chance matters less in the CPU time of one
_VERIFICATIONS = 20  # likewise
_HANGS_AFTER = 4  # times its timeout: no probe with its deep look takes so long unless it never ends
_SCHEDULER_STATISTICS: Final = Path("/proc/self/schedstat")
_LIBC: Final = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe and a deep look found, and what they cost."""

    problems: frozenset[tuple[Stage, Reason]]
    seconds: float
    """The duration of the probe or of the deep look, whichever is longer."""
    grown_bytes: int
    """How much larger the peak of resident memory was than before the probe, including the memory of C libraries. The
    kernel counts with an error of some 100 KiB.
    """
    cpu: float
    """The CPU time, as a multiple of that of a healthy server."""
    longest_step: float
    """The CPU time of the longest step of the event loop, in verifications by a P-384 key, which do not depend on the
    exporter. For so long, all probes beside this one stand still.
    """
    leaked: tuple[str, ...]
    """Tasks, file descriptors, and objects that only the garbage collector frees."""
    errors: tuple[str, ...]
    """Errors that were logged, and exceptions that nobody awaited."""


class Prober(Protocol):
    async def probe(self, name: ServerName) -> Report: ...

    async def run_deep_look(self, report: Report) -> Report: ...


def measure(config: Config, healthy: str, server_name: str) -> Finding:
    """Probe a `healthy` server first, so that one-time work is not attributed to the probe of `server_name`."""
    gc.freeze()  # loaded modules are never freed, and scanning them repeatedly would take longer than all else
    with capture_logs() as entries:
        finding = asyncio.run(watch(build_prober(config), healthy, server_name, _HANGS_AFTER * config.probe.timeout))
    logged = tuple(str(entry) for entry in entries if entry["log_level"] == "error")
    return replace(finding, errors=finding.errors + logged)


async def watch(prober: Prober, healthy: str, server_name: str, hangs_after: float) -> Finding:
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(str(context)))
    await probe(prober, healthy)
    async with measured_steps() as usual:
        for _ in range(_HEALTHY_PROBES):
            await probe(prober, healthy)
    healthy_cpu, verification = usual.total / _HEALTHY_PROBES, verification_seconds()
    gc.disable()  # so that garbage is still there when it is counted
    descriptors, resident = open_descriptors(), reset_peak()
    async with measured_steps() as steps:
        try:
            async with asyncio.timeout(hangs_after):
                problems, seconds = await probe(prober, server_name)
        except TimeoutError:
            problems, seconds = frozenset(), hangs_after
    grown = peak() - resident
    garbage = await collect_garbage()
    gc.enable()
    tasks = [str(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    leaked = (*tasks, *sorted(open_descriptors() - descriptors))
    if garbage > MAX_GARBAGE:
        leaked += (f"{garbage} objects in reference cycles",)
    return Finding(
        problems, seconds, grown, steps.total / healthy_cpu, steps.longest / verification, leaked, tuple(errors)
    )


def verification_seconds() -> float:
    """Return the CPU time in which the OpenSSL of the probes verifies a signature by a P-384 key."""
    key, algorithm = ec.generate_private_key(ec.SECP384R1()), ec.ECDSA(SHA384())
    signature, public_key = key.sign(b"", algorithm), key.public_key()
    started = time.thread_time()
    for _ in range(_VERIFICATIONS):
        public_key.verify(signature, b"", algorithm)
    return (time.thread_time() - started) / _VERIFICATIONS


@dataclass(slots=True)
class Steps:
    """The CPU time of steps of the event loop, in seconds: of all of them, and of the longest."""

    total: float = 0.0
    longest: float = 0.0


@asynccontextmanager
async def measured_steps() -> AsyncIterator[Steps]:
    """Measure the steps that begin and end within it."""
    steps, run = Steps(), asyncio.Handle._run

    def run_measured(handle: asyncio.Handle) -> None:
        started = time.thread_time()
        run(handle)
        seconds = time.thread_time() - started
        steps.total += seconds
        steps.longest = max(steps.longest, seconds)

    with patch.object(asyncio.Handle, "_run", run_measured):
        await asyncio.sleep(0)
        yield steps
        await asyncio.sleep(0)


async def probe(prober: Prober, server_name: str) -> tuple[frozenset[tuple[Stage, Reason]], float]:
    """Run a probe and a deep look; return their problems, and the longer of their durations."""
    started = own_time()
    report = await prober.probe(parse(server_name))
    probed = own_time()
    report = await prober.run_deep_look(report)
    ended = own_time()
    problems = frozenset(
        (stage, problem.reason)
        for stage, _, outcome in report.outcomes()
        if isinstance(outcome, Failed)
        for problem in outcome.problems
    )
    return problems, max(probed - started, ended - probed)


def own_time() -> float:
    """Return the time in seconds, without the time that this process has waited for a processor (proc(5))."""
    _, nanoseconds, _ = _SCHEDULER_STATISTICS.read_text().split()
    return time.monotonic() - int(nanoseconds) / 1e9


async def collect_garbage() -> int:
    """Return how many objects are garbage, after the event loop has finished what was closed or cancelled."""
    for _ in range(3):
        await asyncio.sleep(0)
    return gc.collect()


def open_descriptors() -> set[str]:
    """Return each descriptor with its target, except the one that reads the folder, which is closed by then."""
    opened = set()
    for file in tuple(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):
            opened.add(f"{file.name} -> {file.readlink()}")
    return opened


def reset_peak() -> int:
    """Return the resident memory in bytes.

    Free memory is returned to the kernel first, so that no growth goes unnoticed because it fits into that.
    """
    gc.collect()
    _LIBC.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    return peak()


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) * 1024
