"""What was found out before, of bounded weight: whatever has not been asked for longest is forgotten."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruCache(Generic[Key, Value]):
    """`weight_of` tells how much of `capacity` a value takes: one, where it is not given."""

    def __init__(self, capacity: int, weight_of: Callable[[Value], int] = lambda _: 1) -> None:
        self._at_most = capacity
        self._weigh = weight_of
        self._weight = 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        self.discard(key)
        self._kept[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._at_most:
            self.discard(next(iter(self._kept)))

    def discard(self, key: Key) -> None:
        if key in self._kept:
            self._weight -= self._weigh(self._kept.pop(key))
