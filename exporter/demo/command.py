"""The command `demo`: runs the embedded federation, and the real exporter to probe it."""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Column, Table

from exporter.app import App
from exporter.config import HostPort
from exporter.config.settings import DEFAULT_LISTEN
from exporter.demo.federation import Federation
from exporter.demo.servers import LabServer
from exporter.web.listeners import ListenError, bind

_INTERVAL, _TIMEOUT = "30s", "10s"
_FIRST_ROUND_SECONDS = 5.0


@asynccontextmanager
async def demo() -> AsyncIterator[App]:
    """Run both, and print what there is to see."""
    async with Federation() as federation:
        with _write_config(federation) as config_file:
            async with App(config_file, listen=[_choose_listen_address()], first_round=_FIRST_ROUND_SECONDS) as app:
                console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
                for paragraph in _introduce(app.addresses[0], federation.servers):
                    console.print(paragraph)
                yield app


@contextmanager
def _write_config(federation: Federation) -> Iterator[Path]:
    """Write the configuration file, in JSON, which is valid YAML."""
    with TemporaryDirectory(prefix="federation-demo-") as folder:
        file = Path(folder, "demo.yaml")
        configuration = {**federation.config(), "probe": {"interval": _INTERVAL, "timeout": _TIMEOUT}}
        file.write_text(json.dumps(configuration), encoding="utf-8")
        yield file


def _choose_listen_address() -> HostPort:
    """Return the default address, or one with any free port if another program listens there."""
    try:
        for sock in bind([DEFAULT_LISTEN]):
            sock.close()
    except ListenError:
        return DEFAULT_LISTEN._replace(port=0)
    return DEFAULT_LISTEN


def _introduce(address: HostPort, servers: Sequence[LabServer]) -> Iterator[str | Table]:
    """Yield what runs, what is wrong with each server, and what to try."""
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
