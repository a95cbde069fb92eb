"""Reloads of the configuration, however often they are asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from exporter.config import Complaint

_REST_SHARE = 4.0  # the rest after a reload, relative to how long it took

Complaints: TypeAlias = tuple[Complaint, ...]
"""Why a configuration was not applied; none if it was."""


class Reloads:
    """Runs `reload` one at a time, with a rest in between, so that reloads take at most a fifth of the time.

    Whoever asks while a reload is in progress shares the next one.
    """

    def __init__(self, reload: Callable[[], Awaitable[Complaints]], when_stopping: Complaints) -> None:
        self._reload = reload
        self._when_stopping = when_stopping
        self._one_at_a_time = asyncio.Lock()
        self.next: asyncio.Task[Complaints] | None = None
        """A reload that has been asked for, and has not begun."""
        self.rested_at = 0.0
        """When the next reload may begin, on the event loop's clock."""

    def __repr__(self) -> str:
        return f"<Reloads: {'one has' if self.next else 'none has'} been asked for>"

    async def request(self) -> Complaints:
        """Return the complaints of a reload that begins after this request."""
        if self.next is None:
            self.next = asyncio.create_task(self._run_after_rest())
        shared = self.next
        try:
            return await asyncio.shield(shared)
        except asyncio.CancelledError:
            if shared.cancelled():
                return self._when_stopping
            raise

    def cancel(self) -> None:
        """Cancel the reload that has not begun."""
        if self.next:
            self.next.cancel()

    async def _run_after_rest(self) -> Complaints:
        now = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            await asyncio.sleep(self.rested_at - now())
            self.next, started = None, now()
            try:
                return await self._reload()
            finally:
                self.rested_at = now() + _REST_SHARE * (now() - started)
