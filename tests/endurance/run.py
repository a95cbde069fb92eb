"""One exporter, from start to end, through all the troubles; and what is held against it then."""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE, Popen

import httpx

from exporter.model import durations, names
from exporter.model.servers import WatchedServer
from exporter.scheduling.grid import Grid
from tests.endurance import troubles
from tests.endurance.accounts import Account, Moment, Stretch, account, grown
from tests.endurance.level import WINDOWS, Trend, trend
from tests.endurance.serving import Event, Exporter, Held, Scrape, WallClock, at
from tests.endurance.troubles import Lab, World

RESTLESS = 6  # of the healthy ones
PROBES = "matrix_federation_probes_total"
SUCCESS = "matrix_federation_probe_success"
LAST = "matrix_federation_probe_last_timestamp_seconds"
FAILURES = "matrix_federation_probe_failures_total"
IN_FLIGHT = "matrix_federation_exporter_probes_in_flight"
SKIPPED = "matrix_federation_exporter_probes_skipped_total"
SETTLING_SECONDS = 11.0  # the longest interval, in which every probe that was planned begins
LOOKS = 5
SAMPLE_SECONDS = 1.0
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)  # asyncio starts them one by one, and keeps them
OWN_THREADS = 2  # of the process that serves: storage, and the parser of server lists
NOT_MORE_SERIES = 0.1  # hostile servers fail now in one way, now in another
NOT_MORE_MEMORY = 0.1  # of what there was: less is noise
OUT_OF_DESCRIPTORS = "socket.accept() out of system resource"  # asyncio tells of it, and tries again a second later
LOST = {"probe skipped", "probe lost"}


@dataclass(frozen=True, slots=True)
class Size:
    """Of the lab: a small one leaves time to a busy machine."""

    healthy: int
    every_nth: int
    """Of the broken and hostile servers."""


LARGE = Size(healthy=30, every_nth=4)
MEDIUM = Size(healthy=30, every_nth=16)
SMALL = Size(healthy=15, every_nth=16)


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    before: str
    after: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """The exporter while nothing is due."""

    at: Moment
    """When the long intervals began."""
    scrape: Scrape
    held: Held


@contextmanager
def lab(size: Size) -> Iterator[Lab]:
    command = [sys.executable, "-m", "tests.endurance.lab", str(size.healthy), str(size.every_nth)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        announced = process.stdout.readline().strip()
        if not announced:
            raise SystemExit("the lab did not start")
        yield Lab(process, json.loads(Path(announced).read_text()))


def endure(folder: Path, workers: int, seconds: float, size: Size = LARGE) -> list[Row]:
    """Troubles begin anew until the time is over."""
    folder.mkdir()
    with lab(size) as federation:
        clock = WallClock(folder)
        exporter = Exporter(folder, workers, clock)
        healthy = [name for name in federation.told["servers"] if ".many." in name]
        restless = tuple(healthy[:RESTLESS])
        steady = frozenset(federation.told["servers"]) - set(restless)
        world = World(exporter, clock, federation, steady, restless)
        world.list_restless(restless)
        exporter.configure(world.configuration())
        exporter.start()
        try:
            let_all_be_probed(world)
            before = rest(world)
            known = len(exporter.events())
            memory = live(world, seconds)
            after = rest(world)
        finally:
            status = exporter.stop()
    return [*rows(world, before, after, exporter.events()[known:], memory), row("exit status", 0, status)]


def let_all_be_probed(world: World) -> None:
    """Twice: the first probe of a server is not like those that follow. And until all healthy ones were found well."""
    while not all_are_probed(world, world.exporter.scrape()):
        time.sleep(0.5)


def all_are_probed(world: World, scrape: Scrape) -> bool:
    probes, successes = scrape.by_server(PROBES), scrape.by_server(SUCCESS)
    return all(probes.get(name, 0) >= 2 for name in world.steady) and all(
        success for name, success in successes.items() if ".many." in name
    )


def rest(world: World) -> Rest:
    """Every server is probed once more, as was planned, and then no more."""
    exporter = world.exporter
    exporter.configure(world.configuration(resting=True))
    begun = told_now(world)
    time.sleep(SETTLING_SECONDS)
    while exporter.scrape().total(IN_FLIGHT):
        time.sleep(0.2)
    return Rest(begun, exporter.scrape(), held_for_good(exporter))


def held_for_good(exporter: Exporter) -> Held:
    """A client of ours or a check of the network may have a socket open at one look; what was left over is there at
    all of them.
    """
    looks = []
    for _ in range(LOOKS):
        looks.append(exporter.held())
        time.sleep(0.5)
    return min(looks, key=lambda held: held.descriptors)


def told_now(world: World) -> Moment:
    """When it put its configuration to use."""
    earliest = world.clock.now()
    return Moment(earliest, at(world.exporter.reload()))


def live(world: World, seconds: float) -> list[tuple[float, float]]:
    """Resident memory, by time."""
    world.exporter.configure(world.configuration())
    world.begun = told_now(world)
    return asyncio.run(under_load(world, seconds))


async def under_load(world: World, seconds: float) -> list[tuple[float, float]]:
    memory: list[tuple[float, float]] = []
    asking = [asyncio.create_task(each) for each in (troubles.ask(world), troubles.dawdle(world), watch(world, memory))]
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            suffering = asyncio.create_task(asyncio.to_thread(troubles.suffer, world))
            await asyncio.wait([suffering, *asking], return_when=asyncio.FIRST_COMPLETED)
            for each in asking:
                if each.done():
                    each.result()
            await suffering
    finally:
        for each in asking:
            each.cancel()
        await asyncio.wait(asking)
    return memory


async def watch(world: World, memory: list[tuple[float, float]]) -> None:
    """As Prometheus does, in both formats by turns."""
    openmetrics = False
    while True:
        with suppress(httpx.HTTPError):
            await asyncio.to_thread(world.exporter.metrics, openmetrics=openmetrics)
        openmetrics = not openmetrics
        memory.append((time.monotonic(), world.exporter.held().resident_bytes))
        await asyncio.sleep(SAMPLE_SECONDS)


# ---------------------------------------------------------------- what came of it


def rows(
    world: World, before: Rest, after: Rest, events: list[Event], memory: list[tuple[float, float]]
) -> Iterator[Row]:
    accounts = by_server(world, before, after, events)
    done, skipped = (sum(getattr(each, what) for each in accounts.values()) for what in ("done", "skipped"))
    least, most = (sum(getattr(each, what) for each in accounts.values()) for what in ("at_least", "at_most"))
    unaccounted = sum(each.unaccounted for each in accounts.values())
    yield Row("probes due; done and skipped", f"{least} to {most}", f"{done} and {skipped}", unaccounted == 0)
    yield Row("unaccounted for", "", str(unaccounted) + worst(accounts), unaccounted == 0)
    yield Row("skipped, by reason", "", counted(reasons(before, after)), holds=True)
    failed = blamed(world, before, after)
    why = counted(Counter(f"{each['stage']} {each['reason']}" for each in events if is_failure_of(failed, each)))
    called_down = f"{len(failed)}, {failed.total()} times {why}".rstrip()
    yield Row("healthy servers that were called down", "", called_down, not failed)
    yield from of_what_it_holds(before, after)
    yield of_memory(memory)
    wrong = complaints(events)
    yield Row("errors in the log", "", counted(wrong) or "none", not wrong)
    yield Row("troubles", "", counted(world.suffered), holds=True)


def by_server(world: World, before: Rest, after: Rest, events: list[Event]) -> dict[str, Account]:
    stretches = [*world.stretches, Stretch(world.begun, after.at)]
    last = after.scrape.by_server(LAST)
    done = grown(before.scrape.by_server(PROBES), after.scrape.by_server(PROBES))
    skipped: Counter[str] = Counter()
    for event in events:
        if event["msg"] in LOST:
            skipped[event["server_name"]] += int(event.get("count", 1))
    return {
        name: account(grid, stretches, last[name], done[name], skipped[name], extra=world.asked[name])
        for name, grid in grids(world).items()
    }


def grids(world: World) -> dict[str, Grid]:
    """Of the steady servers."""
    return {
        name: Grid.of(WatchedServer(names.parse(name), durations.parse(troubles.interval(name))))
        for name in world.steady
    }


def worst(accounts: dict[str, Account]) -> str:
    amiss = [f"{name}: {each}" for name, each in accounts.items() if each.unaccounted]
    return f", such as {'; '.join(amiss[:3])}" if amiss else ""


def reasons(before: Rest, after: Rest) -> Counter[str]:
    def by_reason(scrape: Scrape) -> dict[str, float]:
        return {each.labels["reason"]: each.value for each in scrape.samples if each.name == SKIPPED}

    return +grown(by_reason(before.scrape), by_reason(after.scrape))


def blamed(world: World, before: Rest, after: Rest) -> Counter[str]:
    failed = grown(before.scrape.by_server(FAILURES), after.scrape.by_server(FAILURES))
    return +Counter({name: failed[name] for name in world.steady if ".many." in name})


def is_failure_of(servers: Counter[str], event: Event) -> bool:
    return event["msg"] == "stage failed" and event["server_name"] in servers


def of_what_it_holds(before: Rest, after: Rest) -> Iterator[Row]:
    yield row("descriptors", before.held.descriptors, after.held.descriptors)
    yield row("processes", before.held.processes, after.held.processes)
    threads, most = after.held.threads, after.held.processes * (1 + POOL_THREADS) + OWN_THREADS
    yield Row("threads", str(before.held.threads), str(threads), threads <= most)
    yield row("series of the exporter itself", len(before.scrape.of_itself()), len(after.scrape.of_itself()))
    earlier, later = len(before.scrape.samples), len(after.scrape.samples)
    yield Row("series", str(earlier), str(later), later < earlier * (1 + NOT_MORE_SERIES))


def of_memory(memory: list[tuple[float, float]]) -> Row:
    """A line where there was time enough for one; else the medians of the third quarter and of the last one."""
    sizes = [size for _, size in memory]
    quarter = len(sizes) // 4
    first, last = median(sizes[2 * quarter : 3 * quarter]), median(sizes[-quarter:])
    if len(sizes) < 10 * WINDOWS:
        return Row("resident memory", mebibytes(first), mebibytes(last), last < first * (1 + NOT_MORE_MEMORY))
    line = trend(memory)
    return Row(
        f"resident memory, by {shown(line)}",
        mebibytes(first),
        mebibytes(last),
        not line.grows or last < first * (1 + NOT_MORE_MEMORY / 10),
    )


def shown(line: Trend) -> str:
    return f"{line.slope / 1024:.2f} ± {line.error / 1024:.2f} KiB/s"


def complaints(events: list[Event]) -> Counter[str]:
    """What should not have been said; a worker was killed by us."""
    ours = {"a worker ended: starting another", "configuration not applied", OUT_OF_DESCRIPTORS, "probe lost"}
    ours.add("the exporter's own network is down: failures are not attributed to servers")
    bad = (event for event in events if event["level"] in ("error", "critical", "unformatted") or "exception" in event)
    return Counter(event["msg"].splitlines()[0] for event in bad if event["msg"].splitlines()[0] not in ours)


def row(what: str, before: object, after: object) -> Row:
    return Row(what, str(before), str(after), before == after)


def counted(what: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(what.items()))


def mebibytes(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
