"""All that befalls the exporter meanwhile, one after the other, and who asks it at the same time."""

import asyncio
import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Any

import httpx

from tests.endurance.accounts import Moment, Stretch
from tests.endurance.lab import SILENCE, SPEAK
from tests.endurance.serving import Exporter, WallClock, at
from tests.waiting import PATIENCE

STEP_SECONDS = 30.0  # by which the clock goes forward and back
SHORTAGE_SECONDS = 1.5
STANDSTILL_SECONDS = 3.5  # longer than a stage of a probe may take
PLANNING_SECONDS = 1.0  # for all probes to be planned anew
SLOW_CLIENTS = 20

SHORT, LONG = "9s", "10s"
"""Intervals: of healthy servers, and of all others."""
NEVER = "360d"
TIMEOUT = "8s"  # a quarter of it is for a lookup, which the lab answers late on a busy machine


def interval(server_name: str) -> str:
    return SHORT if ".many." in server_name else LONG


@dataclass(slots=True)
class Lab:
    """What `tests.endurance.lab` serves; `told` is the configuration for it."""

    process: Popen[str]
    told: Mapping[str, Any]

    def handle(self, command: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == command


@dataclass(slots=True)
class World:
    exporter: Exporter
    clock: WallClock
    lab: Lab
    steady: frozenset[str]
    """Servers that are watched from beginning to end."""
    restless: tuple[str, ...]
    """Healthy ones that come and go."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each server was asked for by others than the schedule."""
    stretches: list[Stretch] = field(default_factory=list)
    begun: Moment = field(default_factory=lambda: Moment(0, 0))
    suffered: Counter[str] = field(default_factory=Counter)

    def configuration(self, *, resting: bool = False, **changed: Any) -> dict[str, Any]:
        """`resting`: nothing is due for a year."""
        servers = [
            {"server_name": name, "interval": NEVER if resting else interval(name)} for name in sorted(self.steady)
        ]
        probe = {"timeout": TIMEOUT, "interval": NEVER if resting else LONG, "concurrency": 60, "deep_interval": "20s"}
        return {
            **self.lab.told,
            "servers": servers,
            "server_files": ["restless.json"],
            "probe": probe,
            "web": {"probe_any": True},
            **changed,
        }

    def list_restless(self, names: Iterable[str]) -> None:
        file = self.exporter.folder / "restless.json"
        file.write_text(json.dumps([{"targets": list(names)}]))


# ---------------------------------------------------------------- what befalls it


def outage(world: World) -> None:
    """No resolver answers, and is seen not to; then it does again, and is seen to."""
    for command, up in ((SILENCE, 0), (SPEAK, 1)):
        world.lab.handle(command)
        while world.exporter.scrape().total("matrix_federation_exporter_connectivity_up") != up:
            time.sleep(0.2)


def forward(world: World) -> None:
    world.clock.set(world.clock.ahead + STEP_SECONDS)
    time.sleep(2)


def back(world: World) -> None:
    """A stretch ends when the exporter has noticed: until then it went on by the clock as it was."""
    known = len(world.exporter.events())
    world.clock.set(world.clock.ahead - STEP_SECONDS)
    noticed = at(world.exporter.told("the clock was set back: rescheduling all probes", known))
    planned = noticed + PLANNING_SECONDS
    end = Moment(noticed + STEP_SECONDS - PLANNING_SECONDS, planned + STEP_SECONDS)
    world.stretches.append(Stretch(world.begun, end))
    world.begun = Moment(noticed - PLANNING_SECONDS, planned)


def shortage(world: World) -> None:
    with world.exporter.short_of_descriptors():
        time.sleep(SHORTAGE_SECONDS)


def crowd_at_the_door(world: World) -> None:
    """More clients than there are descriptors, who say nothing and leave again."""
    with ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(address(world.exporter))
        time.sleep(SHORTAGE_SECONDS)


def standstill(world: World) -> None:
    """As of a machine that is moved, or of a container that has used up its share of the processor."""
    pids = world.exporter.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STANDSTILL_SECONDS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def death_of_a_worker(world: World) -> None:
    _, *workers = world.exporter.pids()
    if workers:
        os.kill(workers[0], signal.SIGKILL)
        while len(world.exporter.pids()) <= len(workers):
            time.sleep(0.1)


def changes(world: World) -> None:
    """Reloads of everything: nothing new, something new, something broken; by signal and by request."""
    exporter = world.exporter
    known = len(exporter.events())
    exporter.reload()
    world.list_restless(world.restless[::2])
    exporter.configure(world.configuration(web={"probe_any": True}))
    assert httpx.post(f"http://{exporter.address}/-/reload", trust_env=False, timeout=PATIENCE).is_success
    exporter.config.write_text("servers: [no closing bracket\n")
    exporter.process.send_signal(signal.SIGHUP)
    exporter.told("configuration not applied", known)
    assert httpx.post(f"http://{exporter.address}/-/reload", trust_env=False, timeout=PATIENCE).is_error
    world.list_restless(world.restless)
    exporter.configure(world.configuration())
    exporter.reload()


TROUBLES: tuple[Callable[[World], None], ...] = (
    changes,
    outage,
    forward,
    back,
    shortage,
    crowd_at_the_door,
    standstill,
    death_of_a_worker,
)


def suffer(world: World) -> None:
    """Each of them once."""
    for trouble in TROUBLES:
        trouble(world)
        world.suffered[trouble.__name__] += 1
        time.sleep(1)


# ---------------------------------------------------------------- who asks


async def ask(world: World) -> None:
    """People and programs, until cancelled."""
    async with httpx.AsyncClient(base_url=f"http://{world.exporter.address}", trust_env=False, timeout=60) as client:
        while True:
            for path in questions(world):
                with suppress(httpx.TransportError):  # out of descriptors, it lets nobody in
                    await client.get(path)
                await asyncio.sleep(0.2)


def questions(world: World) -> Iterator[str]:
    for name in (*world.restless, *sorted(world.steady)[:3]):
        world.asked[name] += 1
        yield f"/probe?target={name}&fresh=true"
        world.asked[name] += 1
        yield f"/api/report?server_name={name}&fresh=true"
        yield f"/api/report?server_name={name}"
        yield "/servers"
        yield "/probe?target=unlisted.many.lab.test"


async def dawdle(world: World) -> None:
    """Clients that send a byte a second, and never ask to the end, until cancelled."""
    with ExitStack() as stack:
        while True:
            with suppress(OSError):
                async with asyncio.timeout(10):
                    clients = [await connected(world, stack) for _ in range(SLOW_CLIENTS)]
                    while True:
                        for client in clients:
                            client.send(b"G")
                        await asyncio.sleep(1)
            stack.close()


async def connected(world: World, stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.settimeout(0)
    await asyncio.get_running_loop().sock_connect(client, address(world.exporter))
    return client


def address(exporter: Exporter) -> tuple[str, int]:
    host, _, port = exporter.address.rpartition(":")
    return host, int(port)
