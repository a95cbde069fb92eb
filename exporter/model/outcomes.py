"""The outcome of a step: it passed, it failed, or it was skipped."""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from exporter.model.reasons import Reason

Found = TypeVar("Found", covariant=True)  # noqa: PLC0105 - read more often than its variance matters


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason from the closed list, and a sentence about what was expected and what was found."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ResourceShortage(Problem):
    """The exporter had no file descriptor or no memory left, so the problem says nothing about the server."""


@dataclass(frozen=True, slots=True)
class Passed(Generic[Found]):
    """The step took `seconds`, and found what it was looking for."""

    seconds: float
    found: Found


@dataclass(frozen=True, slots=True)
class Failed(Generic[Found]):
    """The step took `seconds`. `found` is what it learned despite the failure, such as an expired certificate."""

    seconds: float
    problems: tuple[Problem, ...]
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """The step was not reached, was inconclusive, or the specification does not ask for it."""


SKIPPED = Skipped()
Outcome: TypeAlias = Passed[Found] | Failed[Found] | Skipped


def found(outcome: Outcome[Found]) -> Found | None:
    """Return what the step found, or None if it was skipped or learned nothing."""
    return None if isinstance(outcome, Skipped) else outcome.found
