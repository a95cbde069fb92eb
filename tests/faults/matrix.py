"""Probes every hostile server with the real exporter over real sockets, and checks what the exporter does."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing import get_context
from typing import Final

from exporter.config import Config, load
from exporter.demo.servers import LabServer
from tests.bench.processes import served_by
from tests.faults.lab import HEALTHY
from tests.faults.measuring import Finding, measure
from tests.lab.hostile import HOSTILE_SERVERS

_SHORT_TIMEOUT_SECONDS = 3  # where the fault is a timeout
DEFAULT_TIMEOUT_SECONDS = 30
_GRACE_SECONDS = 0.5
MAX_GROWN_BYTES = 2 << 20
MAX_CPU = 5  # times that of a healthy server; one more for each port, as each of those may be one
MAX_STEP = 80  # verifications by a P-384 key: Diffie-Hellman in a group of 4096 bits takes 64
_CONCURRENCY = 6
_PRELOADED = ["tests.faults.__main__", "pytest"]  # each fork imports the module that was started, which is one of them
MAX_SECONDS: Final = 1200.0  # for all servers: a minute on an idle machine


def probe_all() -> Mapping[str, Finding]:
    """Return the finding for each server name.

    Each server is probed in a fresh fork of a process that has loaded everything and probed nothing.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with (
        served_by("tests.faults.lab", f"{_SHORT_TIMEOUT_SECONDS}s") as file,
        context.Pool(_CONCURRENCY, maxtasksperchild=1) as pool,
    ):
        config = load(file)
        jobs = [(config_for(config, server), HEALTHY.server_name, server.server_name) for server in HOSTILE_SERVERS]
        findings = pool.starmap_async(measure, jobs, chunksize=1).get(MAX_SECONDS)
    return {server.server_name: finding for server, finding in zip(HOSTILE_SERVERS, findings, strict=True)}


def timeout_for(server: LabServer) -> int:
    times_out = any(reason.endswith("timeout") for _, reason in server.expected)
    return _SHORT_TIMEOUT_SECONDS if times_out else DEFAULT_TIMEOUT_SECONDS


def config_for(config: Config, server: LabServer) -> Config:
    return replace(config, probe=replace(config.probe, timeout=timeout_for(server)))


def complaints(server: LabServer, finding: Finding) -> Iterator[str]:
    if finding.problems != server.expected:
        yield f"found {describe(finding.problems)}, expected {describe(server.expected)}"
    if finding.seconds > timeout_for(server) + _GRACE_SECONDS:
        yield f"took {finding.seconds:.2f} s of {timeout_for(server)} s"
    if finding.grown_bytes > MAX_GROWN_BYTES:
        yield f"grew by {finding.grown_bytes} bytes"
    if finding.cpu > MAX_CPU + len(server.ports):
        yield f"took {finding.cpu:.1f} times the CPU time of a healthy server"
    if finding.longest_step > MAX_STEP:
        yield f"held everything up for as long as {finding.longest_step:.0f} verifications by a P-384 key"
    yield from (f"left over: {resource}" for resource in finding.leaked)
    yield from finding.errors


def describe(problems: frozenset[tuple[str, str]]) -> str:
    return ", ".join(f"{stage} {reason}" for stage, reason in sorted(problems)) or "no problem"
