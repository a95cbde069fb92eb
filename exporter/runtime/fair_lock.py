"""A lock for which no client waits longer because another one asks more often."""

import asyncio
from collections import deque


class FairLock:
    """Clients take turns. The requests of one client are served in their order."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """The requests of each client. The first client has the next turn."""

    def __repr__(self) -> str:
        return f"<FairLock: {'held' if self._is_held else 'free'}, {len(self._waiting)} clients wait>"

    async def acquire(self, client: str) -> None:
        if not self._is_held:
            self._is_held = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn had come already
                self.release()
            raise

    def release(self) -> None:
        while self._waiting:
            client = next(iter(self._waiting))
            turns = self._waiting.pop(client)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._is_held = False
