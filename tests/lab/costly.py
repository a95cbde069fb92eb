"""`python -m tests.lab.costly` runs servers that take much CPU time to probe, silent ones, and healthy ones."""

import asyncio

from exporter.demo.federation import Federation
from exporter.demo.ports import drop_packets
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.bench.processes import serve_until_end_of_input
from tests.lab.crowd import crowd
from tests.lab.hostile.costly_chains import ISSUERS, issued_by_slow_keys
from tests.lab.hostile.oversized import SLOW, OversizedServer, equal
from tests.lab.hostile.rows import HostileServer, found, nameless, numbered

COSTLY = tuple(
    OversizedServer(f"slow-{number}", "chains that take long to verify", equal(issued_by_slow_keys(ISSUERS)), SLOW).at(
        f"2001:db8:1:{number}"
    )
    for number in range(1, 7)
)
"""Each has 32 endpoints and 16 web servers."""
SILENT = numbered(
    "192.0.2.",
    (
        HostileServer(f"silent-{number}", "no answer", nameless(drop_packets), found(Stage.TCP, Reason.CONNECT_TIMEOUT))
        for number in range(1, 4)
    ),
)
HEALTHY = crowd(3)


async def main() -> None:
    async with Federation((*COSTLY, *SILENT, *HEALTHY)) as federation:
        await serve_until_end_of_input(federation.config())


if __name__ == "__main__":
    asyncio.run(main())
