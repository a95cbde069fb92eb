"""The measurements of the matrix notice every kind of damage that a probe could do."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from exporter.demo.servers import LabServer
from exporter.model.enums import Method, Stage
from exporter.model.names import ServerName
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.faults.matrix import DEFAULT_TIMEOUT_SECONDS, MAX_CPU, MAX_GROWN_BYTES, complaints
from tests.faults.measuring import MAX_GARBAGE, Finding, watch
from tests.sample_reports import delegated_by_well_known, expired_certificate
from tests.waiting import PATIENCE

HEALTHY, HOSTILE = "healthy.test", "hostile.test"
EXPIRED = frozenset({(Stage.TLS, Reason.CERTIFICATE_EXPIRED)})
GOOD = Finding(EXPIRED, seconds=1.0, grown_bytes=0, cpu=1.0, longest_step=0.1, leaked=(), errors=())
SERVER = LabServer(HOSTILE, "an expired certificate", Method.DEFAULT_8448, expected=EXPIRED)


class FaultyProber:
    """At the hostile server it runs `bug`."""

    def __init__(self, bug: Callable[[], Awaitable[object]]) -> None:
        self._bug = bug

    async def probe(self, name: ServerName) -> Report:
        if name.text == HEALTHY:
            await work(1_000_000, steps=1)
            return delegated_by_well_known()
        await self._bug()
        return expired_certificate()

    async def run_deep_look(self, report: Report) -> Report:
        return report


@pytest.fixture(autouse=True)
def _few_objects() -> Iterator[None]:
    """The garbage collector does not look at those of other tests."""
    gc.freeze()
    yield
    gc.unfreeze()


async def measure(bug: Callable[[], Awaitable[object]], hangs_after: float = PATIENCE) -> Finding:
    return await watch(FaultyProber(bug), HEALTHY, HOSTILE, hangs_after)


async def do_nothing() -> None: ...


async def work(loops: int, steps: int) -> None:
    """Take so much CPU time in all, and let others have their turn after each step."""
    for _ in range(steps):
        sum(range(loops // steps // 5))
        await asyncio.sleep(0)


async def test_the_problems_are_those_of_the_report() -> None:
    finding = await measure(do_nothing)
    assert (finding.problems, finding.leaked, finding.errors) == (EXPIRED, (), ())


async def test_memory_that_is_freed_before_the_end_counts() -> None:
    """The peak is measured."""

    async def allocate() -> None:
        bytearray(b"x") * (8 << 20)

    assert 7 << 20 < (await measure(allocate)).grown_bytes < 9 << 20
    assert (await measure(do_nothing)).grown_bytes < 1 << 20


async def test_cpu_time_is_compared_with_that_of_a_healthy_server() -> None:
    """A step ends where others get their turn."""
    in_steps = await measure(lambda: work(20_000_000, steps=20))
    at_once = await measure(lambda: work(20_000_000, steps=1))
    assert 10 < in_steps.cpu < 40
    assert 10 < at_once.cpu < 40
    assert 5 * in_steps.longest_step < at_once.longest_step


async def test_leaked_tasks_and_descriptors_are_listed() -> None:
    sockets, tasks = [], []

    async def leak() -> None:
        sockets.append(socket.socket())
        tasks.append(asyncio.create_task(asyncio.sleep(60), name="forgotten"))

    task, descriptor = (await measure(leak)).leaked
    sockets[0].close()
    assert ("forgotten" in task, "socket:" in descriptor) == (True, True)


async def test_objects_in_reference_cycles_are_counted() -> None:
    """They stay in memory until the garbage collector scans everything."""

    async def make_cycles() -> None:
        for _ in range(MAX_GARBAGE + 1):
            cycle: list[object] = []
            cycle.append(cycle)

    (garbage,) = (await measure(make_cycles)).leaked
    assert garbage.endswith("objects in reference cycles")
    assert gc.isenabled()


async def test_an_exception_that_nobody_awaits_is_an_error() -> None:
    async def lose_exception() -> None:
        asyncio.get_running_loop().create_future().set_exception(ValueError("lost"))

    (error,) = (await measure(lose_exception)).errors
    assert "lost" in error


async def test_a_probe_that_never_ends_is_cancelled() -> None:
    """It has found nothing, and taken too long."""
    finding = await measure(asyncio.Event().wait, hangs_after=0.2)
    assert (finding.problems, finding.seconds) == (frozenset(), 0.2)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (GOOD, []),
        (
            replace(GOOD, problems=frozenset({(Stage.TLS, Reason.INTERNAL_ERROR)})),
            ["found tls internal_error, expected tls certificate_expired"],
        ),
        (replace(GOOD, problems=frozenset()), ["found no problem, expected tls certificate_expired"]),
        (replace(GOOD, seconds=DEFAULT_TIMEOUT_SECONDS + 0.6), ["took 30.60 s of 30 s"]),
        (replace(GOOD, grown_bytes=MAX_GROWN_BYTES + 1), ["grew by 2097153 bytes"]),
        (replace(GOOD, cpu=MAX_CPU + 0.1), ["took 5.1 times the CPU time of a healthy server"]),
        (replace(GOOD, longest_step=81), ["held everything up for as long as 81 verifications by a P-384 key"]),
        (replace(GOOD, leaked=("a socket",)), ["left over: a socket"]),
        (replace(GOOD, errors=("internal error",)), ["internal error"]),
    ],
)
def test_complaints(finding: Finding, expected: list[str]) -> None:
    """Each bound is checked on its own."""
    assert list(complaints(SERVER, finding)) == expected
