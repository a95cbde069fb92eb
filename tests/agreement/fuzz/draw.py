"""Choosing at random, so that a seed and a number bring the same federation again."""

import random
from collections.abc import Mapping
from typing import Final, TypeVar

Block = TypeVar("Block")

USUAL: Final = "usual"
"""The entry of a table that is as it should be."""


class Draw:
    """The choices for one federation. `chosen` tells those that are not the usual ones, in words."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(f"{seed} {number}")
        self.chosen: list[str] = []

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def pick(self, stage: str, table: Mapping[str, Block], usual: float = 0.6) -> Block:
        """Return the usual entry with a probability of `usual`, and else any other one."""
        if self.chance(usual):
            return table[USUAL]
        name = self._random.choice([name for name in table if name != USUAL])
        self.chosen.append(f"{stage}: {name}")
        return table[name]
