"""`python -m tests.siege.besiegers ATTACK…` runs the clients of these attacks until the end of its input, whose first
line is the exporter. It says "begun" when each attack has done something, and at the end what they have done.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Collection

from exporter.config import HostPort
from tests.siege.attacks import ATTACKS
from tests.siege.clients import Besieged
from tests.waiting import until


async def main(attacks: Collection[str]) -> None:
    told = json.loads(sys.stdin.readline())
    besieged = Besieged(**told | {key: HostPort(*told[key]) for key in ("address", "peer_address")})
    done: dict[str, Counter[str]] = {name: Counter() for name in attacks}
    tasks = [
        asyncio.create_task(crowd.client(besieged.at_peer() if crowd.at_peer else besieged, address, done[name]))
        for name in attacks
        if (crowd := ATTACKS[name].crowd)
        for address in crowd.addresses()
    ]
    begun = asyncio.create_task(_say_when_begun([done[name] for name in attacks if ATTACKS[name].crowd]))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (begun, *tasks):
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(begun, *tasks, return_exceptions=True)
    _say(done)


async def _say_when_begun(deeds: Collection[Counter[str]]) -> None:
    await until(lambda: all(deeds))
    _say("begun")


def _say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
