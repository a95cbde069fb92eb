"""Times, phases, memories and reports as they stand in the database."""

import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from exporter.history.changes import Observation, Subject
from exporter.history.incidents import Phase, PhaseProblem
from exporter.history.memory import ServerMemory
from exporter.judging.verdict import Federation
from exporter.model.enums import Stage
from exporter.model.reasons import Reason

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_COMPRESSED_BYTES = 64 * 1024  # of a report: ten times a usual one
_MAX_REPORT_BYTES = 4 * 1024 * 1024  # of the JSON in the database, which somebody else may have written


def encode_time(at: datetime) -> int:
    """Return the microseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


def decode_time(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def encode_phases(phases: tuple[Phase, ...]) -> str:
    return _compact(
        [
            [
                encode_time(phase.since),
                phase.federation,
                [[each.stage, each.reason, each.broken, each.endpoints] for each in phase.problems],
            ]
            for phase in phases
        ]
    )


def decode_phases(text: str) -> tuple[Phase, ...]:
    return tuple(
        Phase(
            decode_time(since),
            Federation(federation),
            tuple(
                PhaseProblem(Stage(stage), Reason(reason), broken, endpoints)
                for stage, reason, broken, endpoints in problems
            ),
        )
        for since, federation, problems in json.loads(text)
    )


def encode_memory(memory: ServerMemory) -> str:
    """Return everything but the incident, which has a table of its own."""
    return _compact(
        {
            "federation": memory.federation,
            "since": _optional_time(memory.since),
            "well_known_last_seen": _optional_time(memory.well_known_last_seen),
            "observed": {subject: _observation(each) for subject, each in memory.observed.items()},
        }
    )


def decode_memory(text: str) -> ServerMemory:
    written = json.loads(text)
    return ServerMemory(
        federation=Federation(written["federation"]) if written["federation"] else None,
        since=_read_time(written["since"]),
        well_known_last_seen=_read_time(written["well_known_last_seen"]),
        observed={Subject(subject): _read_observation(each) for subject, each in written["observed"].items()},
    )


def _observation(observation: Observation) -> list[object]:
    return [observation.items, {item: encode_time(since) for item, since in observation.earlier.items()}]


def _read_observation(written: Any) -> Observation:
    items, earlier = written
    return Observation(tuple(items), {item: decode_time(since) for item, since in earlier.items()})


def _optional_time(at: datetime | None) -> int | None:
    return None if at is None else encode_time(at)


def _read_time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else decode_time(microseconds)


def encode_report(report: Mapping[str, object]) -> bytes | None:
    """Return None if the report is too large to be kept."""
    compressed = zlib.compress(_compact(report).encode())
    return compressed if len(compressed) <= _MAX_COMPRESSED_BYTES else None


def decode_report(compressed: bytes) -> dict[str, object]:
    text = zlib.decompressobj().decompress(compressed, _MAX_REPORT_BYTES)
    report: dict[str, object] = json.loads(text)
    return report


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
