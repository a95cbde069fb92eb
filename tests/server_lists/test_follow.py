"""Lists that are read again and again: what counts, what is told, and when they are asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.names import ServerName
from exporter.server_lists import follow
from exporter.server_lists.fetch import ListError
from exporter.server_lists.follow import ListFollower
from tests.waiting import leaked_tasks, until

URL = "https://example.org/servers"


@dataclass
class Scripted:
    """Answers with `says`, or fails for that reason."""

    says: str
    url: str = URL
    refresh_interval: float = 0.01
    asked: int = field(default=0, compare=False)

    async def names(self) -> tuple[ServerName, ...]:
        self.asked += 1
        if self.says.startswith("!"):
            raise ListError(self.says)
        return tuple(map(names.parse, self.says.split()))


@dataclass
class Watcher:
    """Beside the lists, what they told of their changes."""

    changes: list[list[str]] = field(default_factory=list)
    exporter_metrics: ExporterMetrics = field(default_factory=ExporterMetrics)

    def __post_init__(self) -> None:
        self.lists = ListFollower(self.changed, self.exporter_metrics)

    async def changed(self) -> None:
        self.changes.append(list(map(str, self.lists.names)))

    def value(self, name: str, url: str = URL) -> float | None:
        return self.exporter_metrics.registry.get_sample_value(f"matrix_federation_exporter_list_{name}", {"list": url})


@asynccontextmanager
async def reading(*sources: Scripted) -> AsyncIterator[Watcher]:
    """Leaves nothing behind."""
    watcher = Watcher()
    watcher.lists.follow(sources)
    task = asyncio.create_task(watcher.lists.keep_reading())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert leaked_tasks() == set()


async def asked_twice_more(source: Scripted) -> None:
    """The answer to the first of them is put to use by then."""
    before = source.asked
    await until(lambda: source.asked >= before + 2)


async def test_names_of_all_lists_are_one() -> None:
    """Sorted, each once; the same answer again changes nothing."""
    first, second = Scripted("example.org matrix.org"), Scripted("example.net example.org", "https://example.net/")
    async with reading(first, second) as watcher:
        await until(lambda: len(watcher.changes) == 2)
        await asked_twice_more(first)
        await asked_twice_more(second)
    assert len(watcher.changes) == 2
    assert watcher.changes[-1] == ["example.net", "example.org", "matrix.org"]
    assert watcher.value("servers") == 2
    assert (watcher.value("last_success_timestamp_seconds") or 0) > 1.7e9


async def test_a_failing_list_keeps_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each complaint is logged once, each failure counted, and the watch list is never emptied by them."""
    source = Scripted("example.org")
    with capture_logs() as logged:
        async with reading(source) as watcher:
            await until(lambda: watcher.changes)
            stamp = watcher.value("last_success_timestamp_seconds")
            for says in ("!first", "!second"):
                source.says = says
                await asked_twice_more(source)
            failures = watcher.value("failures_total") or 0
            assert (watcher.changes, watcher.value("servers")) == ([["example.org"]], 1)
            assert watcher.value("last_success_timestamp_seconds") == stamp
            source.says = "example.org example.net"
            await until(lambda: len(watcher.changes) == 2)
    assert failures >= 2
    assert watcher.changes[-1] == ["example.net", "example.org"]
    assert [entry.get("complaint", entry["event"]) for entry in logged] == [
        "list read",
        "!first",
        "!second",
        "list read",
    ]


async def test_a_list_that_never_answered_is_seen() -> None:
    """By a time of 0, at once, and not only by what is missing."""
    async with reading(Scripted("!refused")) as watcher:
        assert watcher.value("failures_total") == 0
        await until(lambda: watcher.value("failures_total"))
    assert (watcher.value("last_success_timestamp_seconds"), watcher.value("servers")) == (0, 0)


async def test_a_failure_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the interval is; a success is not."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    source = Scripted("!refused", refresh_interval=3600.0)
    async with reading(source) as watcher:
        await asked_twice_more(source)
        source.says = "example.org"
        await until(lambda: watcher.changes)
        asked = source.asked
        await asked_twice_more_of_another(watcher, source)
        assert source.asked == asked


async def asked_twice_more_of_another(watcher: Watcher, source: Scripted) -> None:
    """So that time passes; the list that stays is not disturbed by the new one."""
    another = Scripted("example.net", "https://example.net/")
    watcher.lists.follow([source, another])
    await asked_twice_more(another)


async def test_other_lists_are_followed_at_once() -> None:
    """Those that are gone take their names and series along."""
    old, new = Scripted("example.org", refresh_interval=3600.0), Scripted("example.net", "https://example.net/")
    async with reading(old) as watcher:
        await until(lambda: watcher.changes)
        watcher.lists.follow([new])
        assert watcher.lists.names == ()
        await until(lambda: len(watcher.changes) == 2)
    assert watcher.changes[-1] == ["example.net"]
    assert (watcher.value("servers"), watcher.value("servers", new.url)) == (None, 1)


async def test_new_settings_of_a_list_keep_its_names() -> None:
    """And it is asked at once: perhaps they mend it."""
    old, new = Scripted("example.org", refresh_interval=3600.0), Scripted("!refused", refresh_interval=1800.0)
    async with reading(old) as watcher:
        await until(lambda: watcher.changes)
        watcher.lists.follow([new])
        await until(lambda: watcher.value("failures_total"))
        assert list(map(str, watcher.lists.names)) == ["example.org"]


async def test_a_fault_of_ours_gets_out() -> None:
    """Nobody would notice a list that is not read any more."""

    class Broken(Scripted):
        async def names(self) -> tuple[ServerName, ...]:
            raise ZeroDivisionError

    lists = Watcher().lists
    lists.follow([Broken("")])
    with pytest.raises(ExceptionGroup) as raised:
        await lists.keep_reading()
    assert list(map(type, raised.value.exceptions)) == [ZeroDivisionError]


@pytest.mark.parametrize("says", ["!out of order", "example.org"])
async def test_an_answer_that_comes_too_late_leaves_no_trace(says: str) -> None:
    """The list is no longer followed: nothing is told of it any more, and none of its servers is watched."""
    source = Waiting(says)
    async with reading(source) as watcher:
        await until(lambda: source.asked)
        source.may_answer.set()
        watcher.lists.follow([])
        await until(lambda: source.answered)
        await asyncio.sleep(0)
        assert (watcher.value("failures_total"), watcher.value("servers"), watcher.changes) == (None, None, [])


@dataclass
class Waiting(Scripted):
    may_answer: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    answered: bool = field(default=False, compare=False)

    async def names(self) -> tuple[ServerName, ...]:
        self.asked += 1
        await self.may_answer.wait()
        self.answered = True
        return await super().names()
