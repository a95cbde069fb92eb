"""What the matrix holds against the exporter is seen where it is there."""

import asyncio
import gc
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from exporter.demo.servers import LabServer
from exporter.model.enums import Method, Stage
from exporter.model.names import ServerName
from exporter.model.reasons import Reason
from exporter.model.report import Report
from tests.faults.matrix import MAX_GROWN_BYTES, PATIENT_SECONDS, complaints
from tests.faults.measuring import MAX_GARBAGE, Finding, watch
from tests.sample_reports import delegated_by_well_known, expired_certificate

HEALTHY, HOSTILE = "healthy.test", "hostile.test"
EXPIRED = frozenset({(Stage.TLS, Reason.CERTIFICATE_EXPIRED)})
GOOD = Finding(EXPIRED, seconds=1.0, grown_bytes=0, left_over=(), errors=())
SERVER = LabServer(HOSTILE, "an expired certificate", Method.DEFAULT_8448, expected=EXPIRED)


class FaultyProber:
    """At the hostile server it does `deed`, as a bug would."""

    def __init__(self, deed: Callable[[], Awaitable[object]]) -> None:
        self._deed = deed

    async def probe(self, name: ServerName) -> Report:
        if name.text == HEALTHY:
            return delegated_by_well_known()
        await self._deed()
        return expired_certificate()

    async def run_deep_look(self, report: Report) -> Report:
        return report


async def found(deed: Callable[[], Awaitable[object]]) -> Finding:
    return await watch(FaultyProber(deed), HEALTHY, HOSTILE, hangs_after=0.2)


async def nothing() -> None: ...


async def test_the_problems_are_those_of_the_report() -> None:
    finding = await found(nothing)
    assert (finding.problems, finding.left_over, finding.errors) == (EXPIRED, (), ())


async def test_memory_that_was_given_back_before_the_end_counts() -> None:
    """It is the peak that matters."""

    async def swell() -> None:
        bytearray(b"x") * (8 << 20)

    assert 7 << 20 < (await found(swell)).grown_bytes < 9 << 20
    assert (await found(nothing)).grown_bytes < 1 << 20


async def test_a_task_and_a_descriptor_that_are_left_over_are_named() -> None:
    sockets, tasks = [], []

    async def leak() -> None:
        sockets.append(socket.socket())
        tasks.append(asyncio.create_task(asyncio.sleep(60), name="forgotten"))

    task, descriptor = (await found(leak)).left_over
    sockets[0].close()
    assert ("forgotten" in task, "socket:" in descriptor) == (True, True)


async def test_objects_that_hold_one_another_are_counted() -> None:
    """They stay until a garbage collector looks at everything."""

    async def entangle() -> None:
        for _ in range(MAX_GARBAGE + 1):
            ring: list[object] = []
            ring.append(ring)

    (garbage,) = (await found(entangle)).left_over
    assert garbage.endswith("objects that hold one another")
    assert gc.isenabled()


async def test_an_exception_that_nobody_awaits_is_an_error() -> None:
    async def lose() -> None:
        asyncio.get_running_loop().create_future().set_exception(ValueError("lost"))

    (error,) = (await found(lose)).errors
    assert "lost" in error


async def test_a_probe_that_never_ends_is_given_up() -> None:
    """It has found nothing, and took too long."""
    finding = await found(asyncio.Event().wait)
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
        (replace(GOOD, seconds=PATIENT_SECONDS + 0.6), ["took 30.60 s of 30 s"]),
        (replace(GOOD, grown_bytes=MAX_GROWN_BYTES + 1), ["grew by 2097153 bytes"]),
        (replace(GOOD, left_over=("a socket",)), ["left over: a socket"]),
        (replace(GOOD, errors=("internal error",)), ["internal error"]),
    ],
)
def test_complaints(finding: Finding, expected: list[str]) -> None:
    """Each bound on its own."""
    assert list(complaints(SERVER, finding)) == expected
