"""A parsed file: plain values whose lines are known. YAML and JSON are parsed in many short calls (see yaml_reader)."""

import json
import json.scanner
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import yaml

from exporter.config import yaml_reader
from exporter.config.complaint import Complaint, ConfigError, KeyPath, format_path, printable_value
from exporter.config.yaml_reader import MAX_VALUES, TOO_MANY_VALUES, Collection, Lines, UnsupportedScalar

_MAX_JSON_WITH_LINES = 256 * 1024  # characters; 5,000 names. To know the lines takes ten times as long as to parse


def describe(value: object) -> str:
    """Return the value, or what it is, in the words of a complaint."""
    match value:
        case UnsupportedScalar():
            return str(value)
        case str():
            return f"`{printable_value(value)}`" if value else "an empty string"
        case dict():
            return "a mapping"
        case [str(item)] if ":" in item:
            return f"`[{printable_value(item)}]`, which YAML reads as a list"
        case list():
            return "a list" if value else "an empty list"
        case bool() | None | float():
            return f"`{json.dumps(value)}`"
    return f"the number {printable_value(str(value))}"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file."""

    file: str
    root: object
    """YAML: built from dict (with str keys), list, str, int and UnsupportedScalar. JSON: what `json` returns."""
    lines: Callable[[], Lines | None]
    """Return None if the lines are not known."""
    complaints: tuple[Complaint, ...]
    """What is wrong regardless of the meaning of the keys, such as a duplicate key."""

    def complaint(self, path: KeyPath, sentence: str) -> Complaint:
        return Complaint(self.file, self.line(path), format_path(path), sentence)

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the key or item at `path`, or of its nearest parent that exists."""
        lines = self.lines()
        line = None if lines is None else _first_line(lines)
        for key in path:
            entry = _find_entry(lines, key)
            if entry is None:
                break
            line, lines = entry
        return line


def _first_line(lines: Lines) -> int:
    return lines if isinstance(lines, int) else lines.line


def _find_entry(lines: Lines | None, key: str | int) -> tuple[int, Lines] | None:
    """Return the line of a key or an item, and the lines of its value. Of duplicate keys, the last one counts, as it
    does for the values.
    """
    match lines, key:
        case Collection(children=list(items)), int():
            return _first_line(items[key]), items[key]
        case Collection(children=dict(entries)), str():
            return entries.get(key)
    return None


def parse_yaml(file: str, text: str) -> Document:
    """Raises ConfigError if `text` is not valid YAML, is empty, or contains more than one document."""
    root, lines, complaints = yaml_reader.read(file, text)
    return Document(file, root, lambda: lines, complaints)


def parse_json(file: str, text: str) -> Document:
    """Raises ConfigError if `text` is not valid JSON."""
    if sum(map(text.count, "{[,")) > MAX_VALUES:  # there are at most as many values, and one more
        raise ConfigError([Complaint(file, None, "", TOO_MANY_VALUES)])
    try:
        root = _SteadyDecoder().decode(text)
    except json.JSONDecodeError as error:
        raise ConfigError([Complaint(file, error.lineno, "", f"invalid JSON: {error.msg}")]) from error
    except (ValueError, RecursionError) as error:
        sentence = "cannot parse this JSON: it is nested too deeply, or contains a number that is too long"
        raise ConfigError([Complaint(file, None, "", sentence)]) from error
    return Document(file, root, cache(partial(_lines_of_json, file, text)), ())


class _SteadyDecoder(json.JSONDecoder):
    """Decodes with the scanner in Python. The one in C stops every thread until a whole document is decoded."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_in_steps)
        scanner: Any = json.scanner
        self.scan_once = scanner.py_make_scanner(self)


def _in_steps(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return what `dict` does, which takes a fifth of a second for a mapping with all values that are allowed."""
    return {key: value for key, value in pairs}  # noqa: C416 - see above


def _lines_of_json(file: str, text: str) -> Lines | None:
    """Read JSON as YAML, which knows the lines. Return None for a large document, deep nesting, and unpaired
    surrogates, which only JSON allows.
    """
    if len(text) > _MAX_JSON_WITH_LINES:
        return None
    try:
        _, lines, _ = yaml_reader.read(file, text)
    except (ConfigError, yaml.YAMLError):
        return None
    return lines
