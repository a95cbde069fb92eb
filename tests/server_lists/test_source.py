"""How lists are parsed."""

import asyncio
import threading

from exporter.server_lists.parse_thread import parse
from tests.waiting import until


async def test_lists_are_parsed_one_at_a_time() -> None:
    """So that several large ones take no more memory than one."""
    running, most, may_finish = 0, 0, threading.Event()

    def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        may_finish.wait()
        running -= 1
        return number

    tasks = [asyncio.create_task(parse(work, number)) for number in range(5)]
    await until(lambda: running)
    may_finish.set()
    assert (await asyncio.gather(*tasks), most) == ([0, 1, 2, 3, 4], 1)
