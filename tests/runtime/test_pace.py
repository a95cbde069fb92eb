"""Turns, evenly spaced for each key."""

import asyncio
import random

import pytest

from exporter.runtime.pace import Pace, TooManyWaitingError


class Simulation:
    """A pace in simulated time. `waits` are how long those waited that had to."""

    def __init__(self, per_second: float, max_wait: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.pace = Pace(per_second, clock=lambda: self.now)
        self._max_wait = max_wait
        monkeypatch.setattr("exporter.runtime.pace.asyncio.sleep", self._sleep)

    async def turn(self, key: object) -> None:
        await self.pace.turn(key, self._max_wait)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_turns_are_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one need not wait, nor does one that comes later."""
    simulation = Simulation(4, 10, monkeypatch)
    for _ in range(4):
        await simulation.turn("a")
    assert simulation.waits == [0.25, 0.5, 0.75]
    simulation.now += 1
    await simulation.turn("a")
    assert simulation.waits == [0.25, 0.5, 0.75]


async def test_keys_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(1, 10, monkeypatch)
    for key in range(100):
        await simulation.turn(key)
    assert simulation.waits == []


async def test_nobody_waits_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is refused takes no turn."""
    simulation = Simulation(1, 1.5, monkeypatch)
    await simulation.turn("a")
    await simulation.turn("a")
    for _ in range(3):
        with pytest.raises(TooManyWaitingError):
            await simulation.turn("a")
    simulation.now += 0.5
    await simulation.turn("a")
    assert simulation.waits == [1.0, 1.5]


async def test_the_keys_that_are_remembered_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(1, 10, monkeypatch)
    for key in range(20_000):
        await simulation.turn(key)
    assert repr(simulation.pace) == "<Pace: 1 per second, 10000 keys>"


async def test_a_hoster_of_ten_thousand_servers_hardly_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each server gets three connections in five minutes, and twelve more in an hour, at any time."""
    simulation, rng = Simulation(300, 5, monkeypatch), random.Random(1)
    connections = 10_000 * 3 + 10_000 * 12 // 12
    for at in sorted(rng.uniform(0, 300) for _ in range(connections)):
        simulation.now = at
        await simulation.turn("192.0.2.1")
    assert sum(simulation.waits) / connections < 0.005
    assert max(simulation.waits) < 0.1


async def test_turns_take_real_time() -> None:
    """Each has one. A busy machine may wake some of them late, and out of order."""
    pace, turns = Pace(1000), list[int]()
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def take(number: int) -> None:
        await pace.turn("a", 10)
        turns.append(number)

    await asyncio.gather(*(take(number) for number in range(50)))
    assert loop.time() - started >= 0.049
    assert sorted(turns) == list(range(50))
