"""One exporter, first in calm, and then while all attacks run at once."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from exporter.config import HostPort
from exporter.outbound.signing import generate_seed
from tests.outbound.both_ways import write_private
from tests.siege import lists, observing
from tests.siege.attacks import ATTACKS, LOG, STANDSTILL
from tests.siege.clients import Besieged
from tests.siege.exporter_process import PASSWORD, USER, ExporterProcess, scheduled
from tests.siege.lab import OWN_NAME
from tests.siege.observing import Observed
from tests.siege.verdicts import MAX_NOTICED, Expected, Row, rows
from tests.waiting import until

_WATCHED = 4  # healthy servers that clients ask for without end
_MAX_SERVERS = 40  # of a list
_PROBES_BEFORE = 2  # of each server: the first one is not on the grid
_NICE = {"good": 0, "hostile": 10, "besiegers": 19}
_MAX_LINE = 1 << 22  # bytes of what the labs say first
_LISTS_SECONDS = 10  # between two requests for a list


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    """Of the siege."""
    calm_seconds: float
    """Before it."""
    interval: float
    """In seconds. Half of it is the timeout of a probe."""
    size: int
    """How many servers are always healthy, and how many fall silent now and then."""
    standstill_seconds: float
    """Between two workers that are stopped."""
    may_be_busy: bool = False
    """Whether the bounds allow for a machine that is busy with other things."""


LONG = Plan(seconds=300, calm_seconds=30, interval=30, size=12, standstill_seconds=60)
SHORT = Plan(seconds=60, calm_seconds=10, interval=30, size=6, standstill_seconds=30, may_be_busy=True)


Event: TypeAlias = Callable[[Observed], Coroutine[Any, Any, None]]
"""Something that happens meanwhile, and what is seen of it."""


@asynccontextmanager
async def running(module: str, nice: int, *arguments: str) -> AsyncIterator[Process]:
    """A process that ends with its input."""
    command = ["nice", "-n", str(nice), sys.executable, "-m", module, *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=_MAX_LINE)
    assert process.stdin
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


class Labs:
    """The servers, in two processes."""

    def __init__(self, good: Process, hostile: Process) -> None:
        self._good, self._hostile = good, hostile
        self.told: dict[str, Mapping[str, Any]] = {}

    async def read(self) -> None:
        for name, process in (("good", self._good), ("hostile", self._hostile)):
            assert process.stdout
            self.told[name] = json.loads(await process.stdout.readline())

    async def command(self, deed: str, name: str) -> None:
        assert self._good.stdin
        self._good.stdin.write(f"{deed} {name}\n".encode())
        await self._good.stdin.drain()

    def names(self, *domains: str) -> tuple[str, ...]:
        """Return the good servers of some domains."""
        return tuple(name for name in self.told["good"]["servers"] if name.endswith(domains))

    @property
    def hostile(self) -> tuple[str, ...]:
        return tuple(self.told["hostile"]["servers"])


@asynccontextmanager
async def labs(plan: Plan, attacks: Collection[str]) -> AsyncIterator[Labs]:
    module, options = "tests.siege.lab", (str(plan.size), *attacks)
    async with (
        running(module, _NICE["good"], "good", *options) as good,
        running(module, _NICE["hostile"], "hostile", *options) as hostile,
    ):
        both = Labs(good, hostile)
        await both.read()
        yield both


def configuration(folder: Path, servers: Labs, plan: Plan, hostile: Collection[str], lists_at: str) -> dict[str, Any]:
    good, bad = (servers.told[name]["network"] for name in ("good", "hostile"))
    ca_file = folder / "authorities.pem"
    ca_file.write_text("".join(Path(each["ca_file"]).read_text() for each in (good, bad)))
    (folder / "peer.pem").write_text(servers.told["good"]["peer"]["pem"])
    (folder / "token").write_text("token")
    refresh = {"refresh_interval": f"{_LISTS_SECONDS}s"}
    urls = [{"url": f"{lists_at}{path}", **refresh} for path in lists.LISTS]
    synapse = {"url": f"{lists_at}{lists.SYNAPSE}", "token_file": "token", **refresh}
    return {
        "servers": [*servers.names(".lab.test"), *hostile],
        "server_urls": urls if lists_at else [],
        "synapse_destinations": [synapse] if lists_at else [],
        "lists": {"max_servers": _MAX_SERVERS},
        "probe": {"interval": f"{plan.interval}s", "timeout": f"{plan.interval // 2}s", "deep_interval": "1m"},
        "outbound": {
            "server_name": OWN_NAME,
            "signing_key_file": "signing.key",
            "listen": [servers.told["good"]["peer"]["listen"]],
            "tls": {"cert_file": "peer.pem", "key_file": "peer.pem"},
            "interval": f"{plan.interval}s",
        },
        "network": good | {"connect_to": good["connect_to"] | bad["connect_to"], "ca_file": str(ca_file)},
    }


async def besiege(folder: Path, workers: int, plan: Plan, attacks: Collection[str] = tuple(ATTACKS)) -> list[Row]:
    """Return what is held against the exporter."""
    exporter = ExporterProcess(folder, workers)
    write_private(folder / "signing.key", str(generate_seed()))
    async with labs(plan, attacks) as servers:
        exporter.configure(configuration(folder, servers, plan, (), ""))
        await exporter.start()
        try:
            found = await calm_and_siege(exporter, servers, plan, attacks)
        finally:
            status = await exporter.stop()
    return [*found, Row("exit status", "", str(status), "0", status == 0)]


async def calm_and_siege(
    exporter: ExporterProcess, servers: Labs, plan: Plan, attacks: Collection[str]
) -> Iterator[Row]:
    besieged = know(exporter, servers)
    await let_all_be_probed(exporter, besieged, servers.names(".lab.test"))
    calm = await observe(exporter, besieged, plan.calm_seconds)
    lists_at = servers.told["hostile"]["lists_at"]
    exporter.configure(configuration(exporter.folder, servers, plan, servers.hostile, lists_at))
    await exporter.reload()
    if LOG in attacks:
        await exporter.read_no_more()
    async with running("tests.siege.besiegers", _NICE["besiegers"], *attacks) as besiegers:
        await begin(besiegers, besieged)
        siege = await observe(exporter, besieged, plan.seconds, *events(exporter, servers, plan, attacks))
        done = await end(besiegers)
    expected = Expected(
        plan.interval,
        healthy=servers.names(".many.lab.test", ".slow.lab.test"),
        unasked={*servers.names(".lab.test"), *servers.hostile} - {*besieged.slow, *besieged.watched},
    )
    slowness = siege.slowness if plan.may_be_busy else 1.0
    others = Row("slowness of the machine", f"{calm.slowness:.1f}", f"{siege.slowness:.1f}", "", holds=True)
    return chain(rows(calm, siege, expected, slowness), [others, attacked(done, attacks)])


def know(exporter: ExporterProcess, servers: Labs) -> Besieged:
    watched = servers.names(".many.lab.test")[:_WATCHED]
    slow = servers.names(".slow.lab.test")
    host, _, port = servers.told["good"]["peer"]["listen"].rpartition(":")
    authorities = exporter.folder / "listeners.pem"
    authorities.write_text(exporter.ca_file.read_text() + Path(servers.told["good"]["network"]["ca_file"]).read_text())
    return Besieged(exporter.address, HostPort(host, int(port)), str(authorities), USER, PASSWORD, slow, watched)


async def let_all_be_probed(exporter: ExporterProcess, besieged: Besieged, names: Collection[str]) -> None:
    seen = Observed()
    looking = asyncio.create_task(observing.scrape(besieged, exporter, seen))
    await until(lambda: seen.scrapes and seen.scrapes[-1].all_are_probed(names, _PROBES_BEFORE))
    looking.cancel()
    await asyncio.wait([looking])


async def observe(exporter: ExporterProcess, besieged: Besieged, seconds: float, *events: Event) -> Observed:
    """See what comes of the events. Raises what one of them raises."""
    observed = Observed()
    tasks = [
        asyncio.create_task(each)
        for each in (
            observing.check_health(besieged, observed),
            observing.scrape(besieged, exporter, observed),
            observing.probe_patiently(besieged, observed),
            *(event(observed) for event in events),
        )
    ]
    with measured(exporter, observed):
        ended, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in ended:
        task.result()
    return observed


@contextmanager
def measured(exporter: ExporterProcess, observed: Observed) -> Iterator[None]:
    """The exporter waits for a processor, and so does whoever asks it from here."""
    processes = (exporter.process.pid, os.getpid())
    started, cpu, before = time.monotonic(), exporter.cpu_seconds(), [scheduled(pid) for pid in processes]
    yield
    observed.seconds, observed.cpu_seconds = time.monotonic() - started, exporter.cpu_seconds() - cpu
    since = [scheduled(pid) for pid in processes]
    observed.slowness = 1 + sum(
        (waited - waited_before) / (ran - ran_before)
        for (ran_before, waited_before), (ran, waited) in zip(before, since, strict=True)
    )


def events(exporter: ExporterProcess, servers: Labs, plan: Plan, attacks: Collection[str]) -> Iterator[Event]:
    bound = MAX_NOTICED * plan.interval
    for name in servers.names(".restless.lab.test"):
        yield partial(observing.let_fall_silent, name, servers.command, plan.interval, bound)
    if STANDSTILL in attacks and exporter.workers > 1:
        yield lambda _: observing.stop_workers(exporter, plan.standstill_seconds)


async def begin(besiegers: Process, besieged: Besieged) -> None:
    """Returns when each attack has done something."""
    assert besiegers.stdin
    assert besiegers.stdout
    besiegers.stdin.write(f"{json.dumps(asdict(besieged))}\n".encode())
    await besiegers.stdin.drain()
    await besiegers.stdout.readline()


async def end(besiegers: Process) -> Mapping[str, Mapping[str, int]]:
    """Return what each attack has done."""
    assert besiegers.stdin
    assert besiegers.stdout
    besiegers.stdin.close()
    done: Mapping[str, Mapping[str, int]] = json.loads(await besiegers.stdout.read())
    return done


def attacked(done: Mapping[str, Mapping[str, int]], attacks: Collection[str]) -> Row:
    """No attack came to nothing."""
    shown = "; ".join(
        f"{name}: {', '.join(f'{count} {what}' for what, count in deeds.items())}"
        for name, deeds in done.items()
        if deeds
    )
    idle = [name for name in attacks if ATTACKS[name].crowd and not sum(done[name].values())]
    return Row("what clients did", "", shown, "each something", not idle)
