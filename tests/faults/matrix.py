"""Every hostile server, probed by the real exporter over real sockets, and what is held against the exporter then."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing import get_context

from exporter.config import Config, load
from exporter.demo.servers import LabServer
from tests.bench.processes import served_by
from tests.faults.lab import HEALTHY
from tests.faults.measuring import Finding, measure
from tests.lab.hostile import HOSTILE_SERVERS

TIMEOUT_SECONDS = 3
PATIENT_SECONDS = 30  # where a timeout is no part of the fault; the default
GRACE_SECONDS = 0.5
MAX_GROWN_BYTES = 2 << 20
AT_ONCE = 6
PRELOADED = ["tests.faults.__main__", "pytest"]  # each fork imports the module that was started, be it this or that
GIVEN_UP_AFTER_SECONDS = 300.0


def probe_all() -> Mapping[str, Finding]:
    """By server name. Each in a fresh fork of a process that has loaded everything, and probed nothing."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with (
        served_by("tests.faults.lab", f"{TIMEOUT_SECONDS}s") as file,
        context.Pool(AT_ONCE, maxtasksperchild=1) as pool,
    ):
        config = load(file)
        jobs = [(patient(config, server), HEALTHY.server_name, server.server_name) for server in HOSTILE_SERVERS]
        findings = pool.starmap_async(measure, jobs, chunksize=1).get(GIVEN_UP_AFTER_SECONDS)
    return {server.server_name: finding for server, finding in zip(HOSTILE_SERVERS, findings, strict=True)}


def patience(server: LabServer) -> int:
    silent = any(reason.endswith("timeout") for _, reason in server.expected)
    return TIMEOUT_SECONDS if silent else PATIENT_SECONDS


def patient(config: Config, server: LabServer) -> Config:
    return replace(config, probe=replace(config.probe, timeout=patience(server)))


def complaints(server: LabServer, finding: Finding) -> Iterator[str]:
    if finding.problems != server.expected:
        yield f"found {shown(finding.problems)}, expected {shown(server.expected)}"
    if finding.seconds > patience(server) + GRACE_SECONDS:
        yield f"took {finding.seconds:.2f} s of {patience(server)} s"
    if finding.grown_bytes > MAX_GROWN_BYTES:
        yield f"grew by {finding.grown_bytes} bytes"
    yield from (f"left over: {thing}" for thing in finding.left_over)
    yield from finding.errors


def shown(problems: frozenset[tuple[str, str]]) -> str:
    return ", ".join(f"{stage} {reason}" for stage, reason in sorted(problems)) or "no problem"
