"""How much CPU time the steps of some work may take, together."""

import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")


class CpuBudgetExceededError(Exception):
    """The work has taken more CPU time than it may."""


class CpuBudget:
    """Charges work with the CPU time that it takes, `max_seconds` at most.

    The work ends with CpuBudgetExceededError. That happens between two steps: a step that has begun runs to its end.
    """

    def __init__(self, max_seconds: float) -> None:
        self.spent_seconds = 0.0
        self._max_seconds = max_seconds

    def __repr__(self) -> str:
        return f"<CpuBudget: {self.spent_seconds:.3f} of {self._max_seconds} s>"

    def excess(self) -> CpuBudgetExceededError | None:
        """Return the error to raise, or None if there is something left."""
        if self.spent_seconds < self._max_seconds:
            return None
        return CpuBudgetExceededError(f"the exporter has spent {self._max_seconds:g} s of CPU time on this server")

    def charge(self, work: Awaitable[_Result]) -> Awaitable[_Result]:
        """Return the work, to be awaited in its place. Tasks that it starts are not charged."""
        return _Charged(work, self)

    def step(self, function: Callable[[], _Result]) -> _Result:
        """Call a function, and charge it."""
        started = time.thread_time()
        try:
            return function()
        finally:
            self.spent_seconds += time.thread_time() - started


class _Charged(Generic[_Result]):
    def __init__(self, work: Awaitable[_Result], budget: CpuBudget) -> None:
        self._work = work
        self._budget = budget

    def __await__(self) -> Generator[Any, Any, _Result]:
        """Do each step of the work, and hand on what it waits for, as `await` does (PEP 380)."""
        work = self._work.__await__()
        error: BaseException | None = None
        while True:
            error = self._budget.excess() or error
            started = time.thread_time()
            try:
                awaited = work.throw(error) if error else next(work)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return] # the type of a StopIteration's value is unknown
            finally:
                self._budget.spent_seconds += time.thread_time() - started
                error = None  # its traceback refers to this frame
            try:
                yield awaited
            except BaseException as raised:  # noqa: BLE001 - whatever it is, it is for the work
                error = raised
