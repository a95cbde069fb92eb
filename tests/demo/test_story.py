"""The story that `demo` stages, and how soon there is something to see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest

from exporter.app import App
from exporter.demo import command
from exporter.demo.story import STEPS, STORY_SERVER
from exporter.history.changes import Subject
from exporter.model import durations, names
from exporter.reports.server_state import ServerState
from tests.waiting import PAUSE, until
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


@asynccontextmanager
async def probing(app: App) -> AsyncIterator[None]:
    """Probe the server all the time, so that nobody has to wait for the schedule."""

    async def probe() -> None:
        while True:
            await app.queries.probe_now(names.parse(STORY_SERVER.server_name))
            await asyncio.sleep(PAUSE)

    task = asyncio.create_task(probe())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_exporter_sees_every_step_of_the_story(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server breaks, changes its delegation, and recovers; each step is printed, with its time."""
    monkeypatch.setattr(command, "STORY_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(command, "STORY_INTERVAL", "29s")
    monkeypatch.setattr(command, "TIMEOUT", "28s")  # a busy machine must not make a healthy server late
    async with command.demo() as app, client_of(app.addresses[0]) as client:
        async with probing(app):
            await until(lambda: state_of_story(app).change_counts and state_of_story(app).history[0].federates)
        happened = {"server_name": STORY_SERVER.server_name}
        incidents = (await client.get("/api/v1/incidents", params=happened)).json()["incidents"]
        changes = (await client.get("/api/v1/changes", params=happened)).json()["changes"]
        pages = [await client.get(f"/servers/{STORY_SERVER.server_name}{path}") for path in ("", "/feed.atom")]
    assert [each["ended"] is not None for each in incidents] == [True]
    seen = [{(each["stage"], each["reason"]) for each in phase["problems"]} for phase in incidents[0]["phases"]]
    assert [*seen, set()] == [step.expected for step in STEPS]
    assert {change["subject"] for change in changes} == set(Subject) - {Subject.SIGNING_KEYS}
    assert all("certificate_expired" in page.text and "new.moving.lab.test:8448" in page.text for page in pages)
    printed = capsys.readouterr().out
    places = [printed.index(step.text) for step in STEPS]
    assert all(before < after for before, after in pairwise(places))
    assert STORY_SERVER.server_name in printed[: places[0]]
