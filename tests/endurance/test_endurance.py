"""A short run: every trouble once. `make endurance` is a long one."""

from pathlib import Path

import pytest

from exporter.scheduling.grid import Grid
from tests.endurance.accounts import Account, Moment, Stretch, account, points
from tests.endurance.killed import kill
from tests.endurance.level import trend
from tests.endurance.run import SMALL, endure
from tests.programs import program

GRID = Grid(interval=10, phase=3)
HOUR = Stretch(Moment(1000, 1001), Moment(4600, 4601))


@pytest.mark.soak
@pytest.mark.system("faketime")
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_grows(tmp_path: Path) -> None:
    """With workers, one of whom is killed; `make endurance` has one process alone too."""
    program("faketime")
    assert [row for row in endure(tmp_path / "run", workers=2, seconds=1, size=SMALL) if not row.holds] == []


@pytest.mark.soak
@pytest.mark.system("prometheus")
@pytest.mark.timeout(900)
def test_a_kill_loses_nothing_that_prometheus_does_not_have(tmp_path: Path) -> None:
    """The other process goes on where the first one was, and there is nothing to repair."""
    assert [row for row in kill(tmp_path / "killed", workers=2, size=SMALL) if not row.holds] == []


# ---------------------------------------------------------------- the accounts themselves


@pytest.mark.parametrize(("after", "until", "expected"), [(0, 3, 1), (3, 13, 1), (3, 12.9, 0), (0, 103, 11), (9, 3, 0)])
def test_points(after: float, until: float, expected: int) -> None:
    """The beginning is left out: what was due then, came before."""
    assert points(GRID, after, until) == expected


@pytest.mark.parametrize(("done", "skipped", "unaccounted"), [(361, 0, 0), (351, 10, 0), (350, 10, 1), (362, 0, 1)])
def test_one_probe_too_few_or_too_many_is_seen(done: int, skipped: int, unaccounted: int) -> None:
    """Within an hour; the last one ended after it."""
    found = account(GRID, [HOUR], last=4603.5, done=done, skipped=skipped)
    assert (found, found.unaccounted) == (Account(361, 361, done, skipped), unaccounted)


def test_what_was_asked_for_beside_the_schedule_makes_it_less_sure() -> None:
    assert account(GRID, [HOUR], last=4603.5, done=361, skipped=0, extra=2) == Account(359, 363, 361, 0)


@pytest.mark.parametrize(("slope", "grows"), [(0.0, False), (-0.1, False), (0.1, True)])
def test_a_leak_stands_out_from_noise(slope: float, grows: bool) -> None:  # noqa: FBT001 - one of the cases
    """Of a tenth of a unit a second, in noise of twenty units; what is taken at the beginning is no leak."""
    noise = [(17 * second) % 41 - 20 for second in range(600)]
    samples = [(second, 1000 + slope * second + noise[second] - (500 if second < 60 else 0)) for second in range(600)]
    line = trend(samples)
    assert line.grows is grows
    assert line.slope == pytest.approx(slope, abs=line.error + 0.02)
