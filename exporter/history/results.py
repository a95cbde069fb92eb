"""The latest results of a server, in little memory: 20,000 servers have up to 200,000 of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from struct import Struct
from typing import TypeAlias, overload

from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.reasons import Reason

_TIMES = Struct("=dd")
_Verdict: TypeAlias = tuple[bool, Federation | None, tuple[tuple[Stage, Reason], ...]]


@dataclass(frozen=True, slots=True)
class Result:
    """What is kept of a report in the history."""

    ended_at: datetime
    seconds: float
    federates: bool
    federation: Federation | None
    """None if the exporter's own network was down: neither a success nor a failure of the server."""
    problems: tuple[tuple[Stage, Reason], ...]

    @property
    def exporter_offline(self) -> bool:
        return self.federation is None


@dataclass(frozen=True, slots=True)
class Results(Sequence[Result]):
    """Results of one server, the newest first. Each takes 24 bytes, and 160 as an object."""

    _times: bytes = b""
    """Of each result, when it ended, in seconds since the epoch, and how many seconds it took."""
    _verdicts: tuple[_Verdict, ...] = ()
    """Of each result, the rest, which is the same for most of them."""

    def with_newest(self, result: Result, kept: int) -> "Results":
        """Return the newest `kept` results, with this one."""
        times = _TIMES.pack(result.ended_at.timestamp(), result.seconds) + self._times
        verdict = (result.federates, result.federation, result.problems)
        return Results(times[: kept * _TIMES.size], (verdict, *self._verdicts)[:kept])

    @property
    def federations(self) -> tuple[Federation | None, ...]:
        """The verdict of each result."""
        return tuple([federation for _, federation, _ in self._verdicts])

    def __len__(self) -> int:
        return len(self._verdicts)

    def __iter__(self) -> Iterator[Result]:
        return map(_result, _TIMES.iter_unpack(self._times), self._verdicts)

    @overload
    def __getitem__(self, index: int) -> Result: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Result]: ...

    def __getitem__(self, index: int | slice) -> Result | Sequence[Result]:
        return tuple(self)[index]


def _result(times: tuple[float, float], verdict: _Verdict) -> Result:
    ended_at, seconds = times
    return Result(datetime.fromtimestamp(ended_at, UTC), seconds, *verdict)
