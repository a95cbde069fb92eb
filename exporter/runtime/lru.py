"""A least-recently-used cache of bounded weight."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class LruCache(Generic[_Key, _Value]):
    """Discards the entry that has not been used for longest when the weight exceeds the capacity.

    `weight_of` returns how much of the capacity a value takes, in any unit; without it, each value weighs one.
    """

    def __init__(self, capacity: int, weight_of: Callable[[_Value], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._weight_of = weight_of
        self._weight = 0
        self._entries: OrderedDict[_Key, _Value] = OrderedDict()

    def __repr__(self) -> str:
        return f"<LruCache: {len(self._entries)} entries, {self._weight} of {self._capacity}>"

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _Key) -> _Value | None:
        """Return the value, which counts as a use, or None."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: _Key, value: _Value) -> None:
        """Add a value, or replace the one with the same key."""
        self.discard(key)
        self._entries[key] = value
        self._weight += self._weight_of(value)
        while self._weight > self._capacity:
            self.discard(next(iter(self._entries)))

    def discard(self, key: _Key) -> None:
        """Remove the value, if there is one."""
        if key in self._entries:
            self._weight -= self._weight_of(self._entries.pop(key))
