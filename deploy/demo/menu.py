"""The menu: each number breaks something, and repairs it if it is broken."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final

from deploy.demo.faults import FAULTS, Fault
from deploy.demo.federation import Homeserver

_MAX_WAITING = 10  # lines that were typed, and not yet carried out
_INPUT: Final = 0  # the file descriptor of the standard input


class Menu:
    """What is broken at the moment. `tell` shows sentences to the user."""

    def __init__(self, homeservers: Mapping[str, Homeserver], tell: Callable[[str], None]) -> None:
        self._homeservers = homeservers
        self._tell = tell
        self._broken: dict[Fault, AbstractAsyncContextManager[None]] = {}

    def lines(self) -> Iterator[str]:
        """Yield the menu, line by line."""
        for number, fault in enumerate(FAULTS, 1):
            state = "  <- broken" if fault in self._broken else ""
            yield f"  {number}  {fault.server_name}: {fault.text}{state}"

    async def run(self) -> None:
        """Carry out what is typed, until the standard input ends."""
        lines = _read_lines()
        while (line := await lines.get()) is not None:
            await self._choose(line.strip())

    async def _choose(self, choice: str) -> None:
        by_number = {str(number): fault for number, fault in enumerate(FAULTS, 1)}
        if fault := by_number.get(choice):
            await self._toggle(fault)
        else:
            self._tell("\n".join(["Type a number and press Enter:", *self.lines()]))

    async def _toggle(self, fault: Fault) -> None:
        if repair := self._broken.pop(fault, None):
            await repair.__aexit__(None, None, None)
            self._tell(f"repaired  {fault.server_name}: {fault.text}")
            return
        broken = fault.begin(self._homeservers[fault.server_name])
        await broken.__aenter__()
        self._broken[fault] = broken
        self._tell(f"broken    {fault.server_name}: {fault.text}")


def _read_lines() -> asyncio.Queue[str | None]:
    """Return the lines of the standard input, and None at its end. It may be a terminal, a pipe or a file, so only a
    thread can wait for it.
    """
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None](_MAX_WAITING)

    def put(line: str | None) -> None:
        with suppress(RuntimeError, asyncio.CancelledError):  # the demo has ended meanwhile
            asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    def read() -> None:
        with open(
            _INPUT, "rb", buffering=0, closefd=False
        ) as file:  # a buffer has a lock, which the end would wait for
            for line in file:
                put(line.decode(errors="replace"))
        put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines
