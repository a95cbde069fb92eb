"""The story that `demo` stages, and how soon there is something to see."""

from itertools import pairwise

import pytest

from exporter.app import App
from exporter.demo import command
from exporter.demo.servers import HEALTHY
from exporter.demo.story import STEPS, STORY_SERVER
from exporter.history.changes import Subject
from exporter.model import durations, names
from exporter.reports.server_state import ServerState
from tests.waiting import until
from tests.web.serving import client_of

pytestmark = pytest.mark.lab


def test_the_first_results_are_there_within_five_seconds() -> None:
    """Every first probe has started and ended by then, whatever it meets."""
    assert command.FIRST_ROUND_SECONDS + durations.parse(command.TIMEOUT) <= 5


def test_the_story_ends_within_two_minutes() -> None:
    """The exporter sees each step in an interval at most, and each is left to be looked at."""
    steps = len(STEPS) * (command.STORY_PAUSE_SECONDS + durations.parse(command.STORY_INTERVAL))
    assert command.FIRST_ROUND_SECONDS + durations.parse(command.TIMEOUT) + steps <= 120


def state_of_story(app: App) -> ServerState:
    state = app.board.state(names.parse(STORY_SERVER.server_name))
    assert state
    return state


async def test_the_exporter_sees_every_step_of_the_story(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server breaks, changes its delegation, and recovers; each step is printed, with its time."""
    monkeypatch.setattr(command, "STORY_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(command, "STORY_INTERVAL", "5s")
    async with command.demo() as app:
        await until(lambda: state_of_story(app).change_counts and state_of_story(app).history[0].federates)
        state = state_of_story(app)
        async with client_of(app.addresses[0]) as client:
            response = await client.get("/api/v1/incidents", params={"server_name": STORY_SERVER.server_name})
            pages = [await client.get(f"/servers/{STORY_SERVER.server_name}{path}") for path in ("", "/feed.atom")]
    (incident,) = response.json()["incidents"]
    assert incident["ended"]
    assert [phase["problems"][0]["reason"] for phase in incident["phases"]] == [
        "connect_refused",
        "certificate_expired",
    ]
    assert all("certificate_expired" in page.text and "new.moving.lab.test:8448" in page.text for page in pages)
    problems = [frozenset(result.problems) for result in reversed(state.history)]
    assert list(dict.fromkeys(problems)) == [HEALTHY, *(step.expected for step in STEPS[:-1])]
    assert problems[-1] == STEPS[-1].expected == HEALTHY
    assert set(state.change_counts) == {Subject.DELEGATION, Subject.CERTIFICATE, Subject.SOFTWARE, Subject.ADDRESSES}
    printed = capsys.readouterr().out
    places = [printed.index(step.text) for step in STEPS]
    assert all(before < after for before, after in pairwise(places))
    assert STORY_SERVER.server_name in printed[: places[0]]
