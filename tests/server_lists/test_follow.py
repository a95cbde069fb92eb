"""Server lists that are fetched at regular intervals: which names count, what is logged, and when they are fetched."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from structlog.testing import capture_logs

from exporter.config import Complaint
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model import names
from exporter.model.names import ServerName
from exporter.server_lists import follow
from exporter.server_lists.fetch import ListError
from exporter.server_lists.follow import ListFollower
from exporter.server_lists.source import Listing, ListingBuilder
from tests.waiting import leaked_tasks, until

URL = "https://example.org/servers"


@dataclass
class FakeList:
    """Has the names in `response`, or fails if that begins with `!`. `fetches` is how often it was fetched.

    An entry that is not a name is left out.
    """

    response: str
    url: str = URL
    refresh_interval: float = 0.01
    fetches: int = field(default=0, compare=False)

    async def fetch(self) -> Listing:
        self.fetches += 1
        if self.response.startswith("!"):
            raise ListError(self.response)
        listing = ListingBuilder("the response", 10)
        for text in self.response.split():
            try:
                listing.add(names.parse(text))
            except names.InvalidServerNameError as error:
                listing.reject(partial(Complaint, "the response", None, "", str(error)))
        return listing.listing()


@dataclass
class Recorder:
    """A follower of lists, and the names after each change."""

    changes: list[list[str]] = field(default_factory=list)
    exporter_metrics: ExporterMetrics = field(default_factory=ExporterMetrics)

    def __post_init__(self) -> None:
        self.lists = ListFollower(self.changed, self.exporter_metrics)

    async def changed(self) -> None:
        self.changes.append(list(map(str, self.names)))

    @property
    def names(self) -> list[ServerName]:
        """The names on all lists that the exporter knows of, sorted."""
        (family,) = self.exporter_metrics.list_servers.collect()
        urls = [sample.labels["list"] for sample in family.samples]
        return sorted({name for url in urls for name in self.lists.listing(url).servers}, key=str)

    def value(self, name: str, url: str = URL) -> float | None:
        return self.exporter_metrics.registry.get_sample_value(f"matrix_federation_exporter_list_{name}", {"list": url})


@asynccontextmanager
async def following(*sources: FakeList) -> AsyncIterator[Recorder]:
    """Follow lists. No task is left behind."""
    recorder = Recorder()
    recorder.lists.follow(sources)
    task = asyncio.create_task(recorder.lists.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert leaked_tasks() == set()


async def fetched_twice_more(source: FakeList) -> None:
    """Wait for two more fetches. The response to the first of them has been applied then."""
    before = source.fetches
    await until(lambda: source.fetches >= before + 2)


async def test_names_of_all_lists_are_merged() -> None:
    """They are sorted, without duplicates. The same response again is not a change."""
    first, second = FakeList("example.org matrix.org"), FakeList("example.net example.org", "https://example.net/")
    async with following(first, second) as recorder:
        await until(lambda: len(recorder.changes) == 2)
        await fetched_twice_more(first)
        await fetched_twice_more(second)
    assert len(recorder.changes) == 2
    assert recorder.changes[-1] == ["example.net", "example.org", "matrix.org"]
    assert recorder.value("servers") == 2
    assert (recorder.value("last_success_timestamp_seconds") or 0) > 1.7e9


async def test_a_failing_list_keeps_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each complaint is logged once, and each failure is counted."""
    source = FakeList("example.org")
    with capture_logs() as logged:
        async with following(source) as recorder:
            await until(lambda: recorder.changes)
            stamp = recorder.value("last_success_timestamp_seconds")
            for response in ("!first", "!second"):
                source.response = response
                await fetched_twice_more(source)
            failures = recorder.value("failures_total") or 0
            assert (recorder.changes, recorder.value("servers")) == ([["example.org"]], 1)
            assert recorder.value("last_success_timestamp_seconds") == stamp
            source.response = "example.org example.net"
            await until(lambda: len(recorder.changes) == 2)
    assert failures >= 2
    assert recorder.changes[-1] == ["example.net", "example.org"]
    assert [entry.get("complaint", entry["event"]) for entry in logged] == [
        "server list applied",
        "!first",
        "!second",
        "server list applied",
    ]


async def test_invalid_entries_are_logged_once_and_counted() -> None:
    """The other names are watched. If all entries are invalid, the list keeps its names, and that is a failure."""
    source = FakeList("example.org https://x a..b")
    with capture_logs() as logged:
        async with following(source) as recorder:
            await until(lambda: recorder.changes)
            await fetched_twice_more(source)
            assert (recorder.value("servers"), recorder.value("rejected_servers")) == (1, 2)
            assert recorder.value("failures_total") == 0
            source.response = "https://y a..b a..b"
            await until(lambda: recorder.value("failures_total"))
            assert (recorder.value("servers"), recorder.value("rejected_servers")) == (1, 3)
    assert recorder.changes == [["example.org"]]
    url, label = "this is a URL: drop the scheme and the path", "a label of the name is empty: remove the extra dot"
    assert [(entry["event"], entry.get("complaint")) for entry in logged] == [
        ("server list applied", None),
        ("entry of a server list left out", f"the response: {url}"),
        ("entry of a server list left out", f"the response: {label}"),
        ("server list not applied", f"the response: {url}, and 2 more"),
    ]


async def test_a_list_that_never_responded_has_metrics() -> None:
    """Its time of the latest success is 0 from the beginning."""
    async with following(FakeList("!refused")) as recorder:
        assert recorder.value("failures_total") == 0
        await until(lambda: recorder.value("failures_total"))
    assert (recorder.value("last_success_timestamp_seconds"), recorder.value("servers")) == (0, 0)


async def test_a_list_is_retried_soon_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a success, it is fetched at its interval, which may be long."""
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    source = FakeList("!refused", refresh_interval=3600.0)
    async with following(source) as recorder:
        await fetched_twice_more(source)
        source.response = "example.org"
        await until(lambda: recorder.changes)
        fetches = source.fetches
        await fetched_twice_more_with_another(recorder, source)
        assert source.fetches == fetches


async def fetched_twice_more_with_another(recorder: Recorder, source: FakeList) -> None:
    """Wait for fetches of another list. The list that stays is not affected by it."""
    another = FakeList("example.net", "https://example.net/")
    recorder.lists.follow([source, another])
    await fetched_twice_more(another)


async def test_new_lists_are_fetched_at_once() -> None:
    """Lists that were removed lose their names and series."""
    old, new = FakeList("example.org", refresh_interval=3600.0), FakeList("example.net", "https://example.net/")
    async with following(old) as recorder:
        await until(lambda: recorder.changes)
        recorder.lists.follow([new])
        assert recorder.names == []
        await until(lambda: len(recorder.changes) == 2)
    assert recorder.changes[-1] == ["example.net"]
    assert (recorder.value("servers"), recorder.value("servers", new.url)) == (None, 1)


async def test_lists_are_fetched_one_at_a_time() -> None:
    """So that several large ones take no more memory than one."""
    running = most = 0

    class Counting(FakeList):
        async def fetch(self) -> Listing:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(10):
                await asyncio.sleep(0)
            running -= 1
            return await super().fetch()

    lists = [Counting("example.org", f"https://example.org/{number}") for number in range(5)]
    async with following(*lists) as recorder:
        await until(lambda: all(recorder.value("servers", each.url) for each in lists))
    assert most == 1


async def test_a_list_with_new_settings_keeps_its_names() -> None:
    """It is fetched at once, as the settings may have repaired it."""
    old, new = FakeList("example.org", refresh_interval=3600.0), FakeList("!refused", refresh_interval=1800.0)
    async with following(old) as recorder:
        await until(lambda: recorder.changes)
        recorder.lists.follow([new])
        await until(lambda: recorder.value("failures_total"))
        assert list(map(str, recorder.names)) == ["example.org"]


async def test_an_unexpected_exception_is_raised() -> None:
    """Otherwise nobody would notice that a list is not fetched any more."""

    class Broken(FakeList):
        async def fetch(self) -> Listing:
            raise ZeroDivisionError

    lists = Recorder().lists
    lists.follow([Broken("")])
    with pytest.raises(ExceptionGroup) as raised:
        await lists.run()
    assert list(map(type, raised.value.exceptions)) == [ZeroDivisionError]


@pytest.mark.parametrize("response", ["!out of order", "example.org"])
async def test_a_response_that_comes_after_the_list_was_removed_is_ignored(response: str) -> None:
    """It has no metrics, and none of its servers is watched."""
    source = BlockingList(response)
    async with following(source) as recorder:
        await until(lambda: source.fetches)
        source.may_respond.set()
        recorder.lists.follow([])
        await until(lambda: source.has_responded)
        await asyncio.sleep(0)
        assert (recorder.value("failures_total"), recorder.value("servers"), recorder.changes) == (None, None, [])


@dataclass
class BlockingList(FakeList):
    """Responds when `may_respond` is set."""

    may_respond: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    has_responded: bool = field(default=False, compare=False)

    async def fetch(self) -> Listing:
        self.fetches += 1
        await self.may_respond.wait()
        self.has_responded = True
        return await super().fetch()


async def test_repr_shows_lists_and_servers() -> None:
    async with following(FakeList("!refused"), FakeList("a.example b.example", "https://example.net/")) as recorder:
        await until(lambda: recorder.value("failures_total") and recorder.changes)
        assert repr(recorder.lists) == "<ListFollower: 2 lists, 1 failing, 2 servers>"
        assert list(map(repr, recorder.lists._by_url.values())) == [
            f"<_FollowedList: {URL}, 0 servers, failing>",
            "<_FollowedList: https://example.net/, 2 servers>",
        ]
