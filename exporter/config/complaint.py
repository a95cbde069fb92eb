"""What is wrong with a file, and where."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from exporter.model.sanitize import printable

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys and indexes that lead to a value: ("servers", 3, "interval")."""

HIDDEN_VALUE = "a value that is not shown because it may be a secret"
"""What a complaint says instead of the value."""

_MAX_SHOWN = 80  # characters of a key or a value


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with a file, as a line of text for an administrator."""

    file: str
    line: int | None
    """Counted from 1; None if the complaint does not belong to a line."""
    location: str
    """A key path in the form of `format_path`; empty for the file as a whole."""
    sentence: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (where, self.location, self.sentence) if part)


class ConfigError(Exception):
    """A file that cannot be used. Its message has one line for each complaint, in the order of the file."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(sorted(complaints, key=lambda complaint: complaint.line or 0))
        super().__init__("\n".join(map(str, self.complaints)))


def format_path(path: KeyPath) -> str:
    """Return a path such as `servers[3].interval`. A key that is not an identifier is quoted and in brackets."""
    return "".join(map(_format_step, path)).removeprefix(".")


def _format_step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{printable_value(key)}" if key.isidentifier() else f'["{printable_value(key)}"]'


def printable_value(text: str) -> str:
    return printable(text, _MAX_SHOWN)
