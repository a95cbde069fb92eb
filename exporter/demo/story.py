"""The story that `demo` stages in its first two minutes: a server breaks, moves to another host, and recovers.

So the pages, the feeds and the metrics have an incident and changes to show.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from exporter.demo.authority import EXPIRED, Authority
from exporter.demo.federation import Federation
from exporter.demo.https_server import WELL_KNOWN, delegation
from exporter.demo.servers import HEALTHY, LabServer, RunningServer, delegates, federates
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason

_NAME, _OLD, _NEW = "moving.lab.test", "old.moving.lab.test", "new.moving.lab.test"
_NEW_ADDRESS = "203.0.113.16:8448"
_CHECK_SECONDS = 0.1

Problems: TypeAlias = frozenset[tuple[Stage, Reason]]

STORY_SERVER: Final = LabServer(
    _NAME,
    "a well-known that delegates to another host, which it is about to leave",
    Method.WELL_KNOWN_PORT,
    zone=f"""
        {_NAME} A 192.0.2.16
        {_OLD}  A 198.51.100.16
        {_NEW}  A 203.0.113.16
    """,
    ports={
        "192.0.2.16:443": delegates(_NAME, f"{_OLD}:8448"),
        "198.51.100.16:8448": federates(_OLD),
        _NEW_ADDRESS: federates(_NEW, EXPIRED),
    },
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story."""

    text: str
    """What happens, for people; a sentence."""
    change: Callable[[RunningServer, Authority], Awaitable[None]]
    expected: Problems
    """Exactly the problems that a probe finds from now on."""


async def _stop(server: RunningServer, _: Authority) -> None:
    await server.listener.stop()


async def _move(server: RunningServer, _: Authority) -> None:
    server.homeserver.software = {"name": "Lab", "version": "1.1"}
    server.resources[WELL_KNOWN] = delegation(f"{_NEW}:8448")


async def _renew(server: RunningServer, authority: Authority) -> None:
    server.listeners[_NEW_ADDRESS].certificates[_NEW] = authority.issue([_NEW]).server_context()


STEPS: Final = (
    Step(
        f"{_NAME} breaks: its homeserver on {_OLD} stops.",
        _stop,
        frozenset({(Stage.TCP, Reason.CONNECT_REFUSED)}),
    ),
    Step(
        f"{_NAME} moves: its well-known delegates to {_NEW} now, but the certificate there has expired.",
        _move,
        frozenset({(Stage.TLS, Reason.CERTIFICATE_EXPIRED)}),
    ),
    Step(
        f"{_NAME} recovers: {_NEW} has a new certificate.",
        _renew,
        HEALTHY,
    ),
)


async def stage(
    federation: Federation,
    problems: Callable[[], Problems | None],
    tell: Callable[[str], None],
    pause_seconds: float,
) -> None:
    """Take every step, and tell it, once the exporter has seen the one before for `pause_seconds`.

    `problems` returns what the latest probe of the server has found, or None if there is no result yet.
    """
    server, seen = federation.server(_NAME), HEALTHY
    for step in STEPS:
        while problems() != seen:  # noqa: ASYNC110 - the exporter is asked like a visitor would ask it
            await asyncio.sleep(_CHECK_SECONDS)
        await asyncio.sleep(pause_seconds)
        await step.change(server, federation.authority)
        tell(step.text)
        seen = step.expected
