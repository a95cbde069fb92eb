"""`python -m tests.bench.lab COUNT INTERVAL`: that many healthy servers of the lab, each to be probed so often."""

import asyncio
import sys

from exporter.lab.federation import Federation
from exporter.lab.servers import many
from tests.bench.processes import serve_until_end_of_input


async def main(count: int, interval: str) -> None:
    async with Federation(many(count)) as federation:
        probe = {"interval": interval, "timeout": "10s"}
        await serve_until_end_of_input(federation.config() | {"probe": probe})


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
