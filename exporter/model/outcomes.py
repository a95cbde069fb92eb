"""The outcome of a step: it passed, it failed, or it was skipped."""

from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from exporter.model.enums import Resource
from exporter.model.reasons import Reason

Found = TypeVar("Found", covariant=True)  # noqa: PLC0105 - read more often than its variance matters


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason from the closed list, and a sentence about what was expected and what was found."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class ResourceShortage(Problem):
    """The exporter had nothing left of a resource, so the problem says nothing about the server."""

    resource: Resource


@dataclass(frozen=True, slots=True)
class NoRoute(Problem):
    """The exporter's machine has no route to any address of a host, so the problem says nothing about the server."""


@dataclass(frozen=True, slots=True)
class ProxyFailure(Problem):
    """The exporter's own proxy does not do what it should, so the problem says nothing about the server."""

    proxy: str
    """Its host and port."""


@dataclass(frozen=True, slots=True)
class WeakKey(Problem):
    """A certificate has a public key that is too small; how small is tolerated differs between homeservers."""

    kind: str
    """As people write it, such as RSA."""
    bits: int


@dataclass(frozen=True, slots=True)
class Intermediary:
    """Something between peers and the homeserver that answers in its place, such as a CDN or a bot filter."""

    name: str
    shown_by: str
    """The header or the status that shows it."""

    def __str__(self) -> str:
        return f"{self.name} ({self.shown_by})"


@dataclass(frozen=True, slots=True)
class ResponseSummary:
    """An HTTP response, as far as it shows who answered."""

    status: int
    errcode: str | None
    """Only a homeserver sends one."""
    intermediary: Intermediary | None = None
    origin: tuple[str, ...] = ()
    """Phrases about who answered: its Server header, the beginning of its body. They are printable."""

    @property
    def reached(self) -> bool:
        """Whether the homeserver answered, if only that it does not know the path."""
        return self.errcode is not None

    @property
    def may_be_of_filter(self) -> bool:
        """Whether a filter seems to answer, which may let others pass."""
        return not self.reached and (self.intermediary is not None or self.status in FILTER_STATUSES)

    def __str__(self) -> str:
        answer = f"errcode {self.errcode}" if self.errcode else "no Matrix error"
        return "; ".join((f"status {self.status} and {answer}", *self.origin))


FILTER_STATUSES: Final = frozenset({403, 406, 429, 503})


@dataclass(frozen=True, slots=True)
class UnexpectedResponse(Problem):
    """The response to a request is not that of a homeserver that works."""

    response: ResponseSummary


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
