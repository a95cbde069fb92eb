"""What became of a step: it passed, failed, or was skipped."""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from exporter.model.reasons import Reason

Found = TypeVar("Found", covariant=True)  # noqa: PLC0105 - read more often than its variance matters


# ---------------------------------------------------------------- outcomes


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason from the closed list, and a sentence on what was expected and what was found."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ResourceShortage(Problem):
    """Of ours: no descriptor or no memory was left. It tells nothing of the server."""


@dataclass(frozen=True, slots=True)
class Passed(Generic[Found]):
    seconds: float
    found: Found


@dataclass(frozen=True, slots=True)
class Failed(Generic[Found]):
    """`found` is what could be learnt all the same, such as an expired certificate."""

    seconds: float
    problems: tuple[Problem, ...]
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Not reached, or not asked for by the specification."""


SKIPPED = Skipped()
Outcome: TypeAlias = Passed[Found] | Failed[Found] | Skipped


def found(outcome: Outcome[Found]) -> Found | None:
    return None if isinstance(outcome, Skipped) else outcome.found
