"""The command `demo`: runs the embedded federation, and the real exporter to probe it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from exporter.app import App
from exporter.config import HostPort
from exporter.config.settings import DEFAULT_LISTEN
from exporter.demo import story
from exporter.demo.both_ways.joining import join
from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS
from exporter.demo.federation import SERVERS, Federation
from exporter.demo.servers import LabServer
from exporter.demo.story import STORY_SERVER, Problems
from exporter.model import names
from exporter.web.listeners import ListenError, ListeningSocket, bind

TIMEOUT = "4s"
FIRST_ROUND_SECONDS = 1.0  # with the timeout, all first results are there within 5 seconds
_INTERVAL = "30s"
STORY_INTERVAL = "10s"
STORY_PAUSE_SECONDS = 20.0  # after a step was seen: long enough to look at it
SHOWN = SERVERS + BOTH_WAYS_SERVERS
"""All servers but the one of the story."""


@asynccontextmanager
async def demo() -> AsyncIterator[App]:
    """Run both, print what there is to see, and stage the story."""
    async with Federation((*SHOWN, STORY_SERVER)) as federation:
        with _write_config(federation) as config_file, listening_socket() as sock:
            async with App(config_file, listen=[sock], first_round=FIRST_ROUND_SECONDS) as app:
                console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
                for paragraph in _introduce(app.addresses[0], SHOWN):
                    console.print(paragraph)
                async with _staged_story(federation, app, console):
                    yield app


@asynccontextmanager
async def _staged_story(federation: Federation, app: App, console: Console) -> AsyncIterator[None]:
    """Stage the story meanwhile, and print every step with its time."""

    def tell(text: str) -> None:
        console.print(f"{datetime.now(UTC).astimezone():%H:%M:%S}  {text}", soft_wrap=True)

    task = asyncio.create_task(story.stage(federation, lambda: _found_problems(app), tell, STORY_PAUSE_SECONDS))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _found_problems(app: App) -> Problems | None:
    """Return what the latest probe of the story's server has found, or None if there is no result yet."""
    state = app.board.state(names.parse(STORY_SERVER.server_name))
    return frozenset(state.history[0].problems) if state and state.history else None


@contextmanager
def _write_config(federation: Federation) -> Iterator[Path]:
    """Write the configuration file, in JSON, which is valid YAML."""
    with TemporaryDirectory(prefix="federation-demo-") as folder:
        file = Path(folder, "demo.yaml")
        outbound = join(federation, Path(folder), _INTERVAL)
        file.write_text(json.dumps({**_configuration(federation), "outbound": outbound}), encoding="utf-8")
        yield file


def _configuration(federation: Federation) -> dict[str, Any]:
    servers: list[str | dict[str, str]] = [server.server_name for server in SHOWN]
    servers.append({"server_name": STORY_SERVER.server_name, "interval": STORY_INTERVAL})
    return {**federation.config(), "servers": servers, "probe": {"interval": _INTERVAL, "timeout": TIMEOUT}}


def listening_socket() -> ListeningSocket:
    """Listen on the default address, or on any free port if another program listens there."""
    try:
        (sock,) = bind([DEFAULT_LISTEN])
    except ListenError:
        (sock,) = bind([DEFAULT_LISTEN._replace(port=0)])
    return sock


def _introduce(address: HostPort, servers: Sequence[LabServer]) -> Iterator[str | Table]:
    """Yield what runs, what is wrong with each server, what is going to happen, and what to try."""
    url = f"http://{address}"
    if address != DEFAULT_LISTEN:
        yield f"Port {DEFAULT_LISTEN.port} is in use, so the exporter listens on port {address.port}.\n"
    yield "A small Matrix federation runs in this process, and the exporter probes it.\n"
    yield f"  {url}/metrics  the metrics, for Prometheus"
    yield f"  {url}/         the status page, for people\n"
    healthy = [server for server in servers if server.healthy]
    yield f"{len(healthy)} servers are healthy:\n"
    yield _table((server.server_name, server.shows) for server in healthy)
    broken = [server for server in servers if not server.healthy]
    yield f"\n{len(broken)} servers have problems (in brackets: the stage and the reason in the metrics):\n"
    yield _table((server.server_name, f"{server.shows}\n({_expected_problems(server)})") for server in broken)
    yield f"\nIn the next two minutes, {STORY_SERVER.server_name} breaks, moves to another host, and recovers."
    yield f"Each step is printed below, and the exporter sees it within {STORY_INTERVAL}."
    yield "\nTry these commands:\n"
    yield f"  curl -s {url}/metrics | grep probe_success"
    yield f"  curl -s {url}/metrics | grep failure_info\n"
    yield "Press Ctrl-C to stop."


def _expected_problems(server: LabServer) -> str:
    """Return each stage and reason, as in `/metrics`."""
    return ", ".join(f"{stage} {reason}" for stage, reason in sorted(server.expected))


def _table(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(Column(no_wrap=True), Column(), padding=(0, 2), pad_edge=True)
    for row in rows:
        table.add_row(*row)
    return table
