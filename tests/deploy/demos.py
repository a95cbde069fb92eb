"""The demo, as an installed package runs it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from exporter.config import HostPort
from tests.e2e.processes import log_on_failure, running_program
from tests.embedded_federation import lab_servers, scraped, successes
from tests.waiting import until, until_equal

_PRINTED = re.compile(r"http://([\d.]+):(\d+)/metrics")


async def assert_demo_probes(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Run `demo` by the command, and wait until it has probed a healthy and a broken server."""
    servers = lab_servers("default-port.lab.test", "expired.lab.test")
    with running_program([*command, "demo"], log, environment), log_on_failure(log):
        printed = await until(lambda: _PRINTED.search(log.read_text()))
        assert printed
        address = HostPort(printed[1], int(printed[2]))

        async def results() -> dict[str, float | None]:
            return successes(await scraped(address), servers)

        await until_equal({server.server_name: float(server.healthy) for server in servers}, results)
