"""The lag of the event loop, which the tests stall by sleeping in it."""

import asyncio
import time

import pytest

from exporter.runtime import loop_lag
from exporter.runtime.loop_lag import TICK_SECONDS, LoopLag
from tests.waiting import leaked_tasks, until

STALL_SECONDS = 0.05
STALLED_SECONDS = 0.3  # longer than the stalls of a busy machine


@pytest.fixture(autouse=True)
def detect_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """In other tests no lag is a stall: the machine may be busy, and the lab shares the event loop."""
    monkeypatch.setattr(loop_lag, "STALL_SECONDS", STALL_SECONDS)


async def test_on_lag_is_called_for_every_tick() -> None:
    """One of the lags is the stall."""
    lags: list[float] = []
    async with LoopLag(lags.append):
        await until(lambda: len(lags) >= 2)
        time.sleep(STALLED_SECONDS)  # noqa: ASYNC251 - the stall
        await until(lambda: max(lags) > 0)
        await until(lambda: max(lags) > STALLED_SECONDS - 2 * TICK_SECONDS)
    assert leaked_tasks() == set()


async def test_stalls_add_up() -> None:
    """A stall counts even before the next tick has noticed it. A lag that is too short to be a stall does not count."""
    now = [0.0]
    async with LoopLag(lambda _: None, lambda: now[0]) as lag:
        await asyncio.sleep(0)
        assert lag.stalled_seconds() == 0
        now[0] = TICK_SECONDS + STALL_SECONDS
        assert lag.stalled_seconds() == 0
        now[0] = TICK_SECONDS + 3.0
        assert lag.stalled_seconds() == pytest.approx(3.0)
        await until(lambda: lag._due > now[0])
        now[0] = lag._due + STALL_SECONDS / 2
        assert lag.stalled_seconds() == pytest.approx(3.0)
        await until(lambda: lag._due > now[0])
        now[0] = lag._due + 1.0
        assert lag.stalled_seconds() == pytest.approx(4.0)


async def test_nothing_is_stalled_before_the_measurement_begins() -> None:
    assert LoopLag(lambda _: None).stalled_seconds() == 0


async def test_repr_shows_the_stalls() -> None:
    now = [0.0]
    async with LoopLag(lambda _: None, lambda: now[0]) as lag:
        await asyncio.sleep(0)
        now[0] = TICK_SECONDS + 1.5
        assert repr(lag) == "<LoopLag: stalled for 1.500 s>"
