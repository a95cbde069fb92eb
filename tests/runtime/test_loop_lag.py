"""What a late event loop spoils. It is held up on purpose, by sleeping where nobody may."""

import asyncio
import time

import pytest

from exporter.runtime import loop_lag
from exporter.runtime.loop_lag import TICK_SECONDS, LoopLag
from tests.waiting import leaked_tasks, until

SPOILS_SECONDS = 0.05
HELD_UP = 0.3  # seconds; a machine that is busy does not hold us up so long


@pytest.fixture(autouse=True)
def spoils(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere in the tests nothing does: the machine may be busy, and the lab shares the event loop."""
    monkeypatch.setattr(loop_lag, "STALL_SECONDS", SPOILS_SECONDS)


def hold_up() -> None:
    time.sleep(HELD_UP)


async def test_lags_are_told() -> None:
    """One for every tick, and the time for which the loop was held up among them."""
    lags: list[float] = []
    async with LoopLag(lags.append):
        await until(lambda: len(lags) >= 2)
        hold_up()
        await until(lambda: max(lags) > 0)
        await until(lambda: max(lags) > HELD_UP - 2 * TICK_SECONDS)
    assert leaked_tasks() == set()


async def test_it_knows_for_how_long_it_was_held_up() -> None:
    """Even when it is asked before the next tick has noticed; what is too short to spoil anything does not add up."""
    now = [0.0]
    async with LoopLag(lambda _: None, lambda: now[0]) as lag:
        await asyncio.sleep(0)
        assert lag.stalled_seconds() == 0
        now[0] = TICK_SECONDS + SPOILS_SECONDS
        assert lag.stalled_seconds() == 0
        now[0] = TICK_SECONDS + 3.0
        assert lag.stalled_seconds() == pytest.approx(3.0)
        await until(lambda: lag._due > now[0])
        now[0] = lag._due + SPOILS_SECONDS / 2
        assert lag.stalled_seconds() == pytest.approx(3.0)
        await until(lambda: lag._due > now[0])
        now[0] = lag._due + 1.0
        assert lag.stalled_seconds() == pytest.approx(4.0)


async def test_without_measuring_nothing_is_held_up() -> None:
    assert LoopLag(lambda _: None).stalled_seconds() == 0
