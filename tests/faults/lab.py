"""`python -m tests.faults.lab 3s` runs the hostile servers and a healthy one, to be probed with that timeout."""

import asyncio
import sys

from exporter.demo.federation import Federation
from tests.bench.processes import serve_until_end_of_input
from tests.lab.crowd import crowd
from tests.lab.hostile import HOSTILE_SERVERS

(HEALTHY,) = crowd(1)


async def main(probe_timeout: str) -> None:
    async with Federation((HEALTHY, *HOSTILE_SERVERS)) as federation:
        network = federation.config()["network"] | {"address_policy": "public"}
        await serve_until_end_of_input(federation.config() | {"network": network, "probe": {"timeout": probe_timeout}})


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
