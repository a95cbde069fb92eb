"""How the board comes to watch other servers while the exporter runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from exporter.history.memory import ServerMemory
from exporter.model.names import ServerName
from exporter.reports.board import Board, WatchChanges
from exporter.runtime import event_loop

Recall: TypeAlias = Callable[[Sequence[ServerName]], Awaitable[Mapping[ServerName, ServerMemory]]]
"""Returns what is remembered of some servers."""

_BATCH = 10  # servers that are rendered, until the event loop gets its turn: 4 ms
_MOVED_BATCH = 5000  # servers that are only put in order: 3 ms


async def apply(changes: WatchChanges, board: Board, recall: Recall) -> None:
    """Let the board watch the servers of `changes`. The event loop gets its turn in between, as there may be very many.

    If many servers are new, the lists of them that exist by now are exempt from garbage collections.
    """
    event_loop.collect_garbage_for(changes.size)
    event_loop.exempt_new_servers(len(changes.added))
    async for removed in event_loop.in_batches(changes.removed, _BATCH):
        board.remove(removed)
    async for added in event_loop.in_batches(changes.added, _BATCH):
        board.add(added, await recall(board.new_among(added)))
        event_loop.collect_young_garbage()
    async for moved in event_loop.in_batches(changes.order, _MOVED_BATCH):
        board.move_to_end(moved)
