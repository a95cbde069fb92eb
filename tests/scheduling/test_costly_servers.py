"""Servers that keep the exporter busy hide nothing about others: the real exporter, over real sockets."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter import app
from exporter.app import App
from exporter.demo.servers import LabServer
from exporter.internet import tls_contexts
from exporter.model import durations
from exporter.probing import attempt
from exporter.runtime import loop_lag
from exporter.runtime.loop_lag import LoopLag
from tests.bench.processes import served_by
from tests.embedded_federation import Series, failures, quick, scraped, successes
from tests.faults.measuring import own_time
from tests.lab.costly import COSTLY, HEALTHY, SILENT
from tests.waiting import slowness, until_async

pytestmark = [pytest.mark.silence, pytest.mark.subprocess]

INTERVALS = 3  # in which a server that has gone down must be called down
CPU_SECONDS = 0.2  # of a probe
STALL_SECONDS = 0.05  # as in `loop_lag`, where it is infinite for tests


@pytest.fixture(scope="module")
def federation() -> Iterator[dict[str, Any]]:
    """Yield the configuration for servers that run in a process of their own."""
    with served_by("tests.lab.costly") as file:
        yield json.loads(file.read_text())


@pytest.fixture(autouse=True)
def _costly_chains_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is one step of some 80 ms then. Stalls that other processes cause do not count."""
    monkeypatch.setattr(tls_contexts, "_check_cost", lambda *_: None)
    monkeypatch.setattr(app, "LoopLag", partial(LoopLag, clock=own_time))
    monkeypatch.setattr(loop_lag, "STALL_SECONDS", STALL_SECONDS)
    monkeypatch.setattr(attempt, "MAX_CPU_SECONDS", CPU_SECONDS)


async def test_costly_servers_do_not_hide_silent_ones(federation: dict[str, Any], tmp_path: Path) -> None:
    """A silent server is called down in time, a healthy one never, and a costly one for what it does."""
    factor = slowness()
    probe = {"interval": quick(2 * factor)["interval"], "timeout": quick(factor)["timeout"]}  # half of the interval
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({**federation, "probe": probe, "web": {"listen": ["127.0.0.1:0"]}}))
    clock = asyncio.get_running_loop().time
    async with App(file, first_round=0.1) as running:
        started = clock()

        async def until_all_have_a_result(servers: Sequence[LabServer]) -> Series:
            async def results() -> Series | None:
                found = await scraped(running.addresses[0])
                return found if None not in successes(found, servers).values() else None

            found = await until_async(results)
            assert found
            return found

        await until_all_have_a_result(SILENT)
        intervals = (clock() - started) / durations.parse(probe["interval"])
        found = await until_all_have_a_result([*COSTLY, *SILENT, *HEALTHY])
    assert successes(found, HEALTHY) == {server.server_name: 1 for server in HEALTHY}
    assert successes(found, SILENT) == {server.server_name: 0 for server in SILENT}
    assert intervals < INTERVALS
    assert found["exporter_costly_probes_total"] > 0
    refused = [name for name in failures(found) if 'reason="too_large"' in name]
    assert refused, "some may run out of time instead on a busy machine, or stay within the budget on a fast one"
