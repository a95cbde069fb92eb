"""`python -m tests.bench.lab COUNT INTERVAL [LINEAGE]`: that many healthy servers, each to be probed so often.

The certificates are as Let's Encrypt issues them: ecdsa, which most servers have, or rsa.
"""

import asyncio
import sys

from exporter.lab.authority import LINEAGES
from exporter.lab.federation import Federation
from exporter.lab.servers import many
from tests.bench.processes import serve_until_end_of_input


async def main(count: int, interval: str, lineage: str = "ecdsa") -> None:
    async with Federation(many(count), LINEAGES[lineage]) as federation:
        probe = {"interval": interval, "timeout": "10s"}
        await serve_until_end_of_input(federation.config() | {"probe": probe})


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
