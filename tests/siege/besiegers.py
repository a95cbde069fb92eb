"""`python -m tests.siege.besiegers ATTACK…` runs the clients of these attacks until the end of its input, whose first
line is the exporter. At the end it says what they have done.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Collection

from exporter.config import HostPort
from tests.siege.attacks import ATTACKS
from tests.siege.clients import Besieged


async def main(attacks: Collection[str]) -> None:
    told = json.loads(sys.stdin.readline())
    besieged = Besieged(**told | {"address": HostPort(*told["address"])})
    done: dict[str, Counter[str]] = {name: Counter() for name in attacks}
    tasks = [
        asyncio.create_task(crowd.client(besieged, address, done[name]))
        for name in attacks
        if (crowd := ATTACKS[name].crowd)
        for address in crowd.addresses()
    ]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    sys.stdout.write(json.dumps(done))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
