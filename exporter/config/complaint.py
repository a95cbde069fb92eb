"""What is wrong with a file, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.model.sanitize import printable

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value: ("servers", 3, "interval")."""

_MAX_SHOWN = 80  # characters of a key or a value


@dataclass(frozen=True, slots=True)
class Complaint:
    """One line for an administrator. `line` counts from 1; none where no line is to blame."""

    file: str
    line: int | None
    location: str
    """As `format_path` writes it; empty for the file as a whole."""
    sentence: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.location, self.sentence) if part)


class ConfigError(Exception):
    """A file that cannot be used; as text, one line for each complaint, in the order of the file."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(sorted(complaints, key=lambda complaint: complaint.line or 0))
        super().__init__("\n".join(map(str, self.complaints)))


def format_path(path: Path) -> str:
    """`servers[3].interval`; a key that is no plain word stands quoted in brackets."""
    return "".join(map(_format_step, path)).removeprefix(".")


def _format_step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{printable_value(key)}" if key.isidentifier() else f'["{printable_value(key)}"]'


def printable_value(text: str) -> str:
    return printable(text, _MAX_SHOWN)
