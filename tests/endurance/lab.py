"""`python -m tests.endurance.lab COUNT NTH`: so many healthy servers, and every NTH of the broken and hostile ones.

Each line of its input is a command: `silence` ends its DNS server, `speak` starts it again at the same port.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.demo.dns_server import DnsServer
from exporter.demo.federation import Federation
from tests.endurance.serving import PAUSE_SECONDS
from tests.lab.catalogue import EVERY_SERVER
from tests.lab.crowd import crowd
from tests.lab.hostile import HOSTILE_SERVERS
from tests.waiting import PATIENCE

SILENCE, SPEAK = "silence", "speak"


async def main(count: int, nth: int) -> None:
    independent = [server for server in (*EVERY_SERVER, *HOSTILE_SERVERS) if server.on_started is None]
    others = independent[::nth]
    async with Federation((*crowd(count), *others)) as federation:
        with TemporaryDirectory(prefix="endurance-lab-") as folder:
            file = Path(folder) / "config.json"
            file.write_text(json.dumps(federation.config()))
            answer(str(file))
            await handle(federation)


async def handle(federation: Federation) -> None:
    """Each command is answered when it is done. Ends with whoever gives them."""
    deeds: dict[str, Callable[[], Awaitable[None]]] = {
        SILENCE: federation.dns.stop,
        SPEAK: partial(speak, federation.dns),
    }
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        await deeds[command]()
        answer(command)


async def speak(dns: DnsServer) -> None:
    """A query of the exporter may have its port for a moment: each has a socket of its own."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await dns.start()
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)


def answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
