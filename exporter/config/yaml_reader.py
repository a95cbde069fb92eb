"""Reads YAML into plain values and their lines. Everything is bounded, and nothing is executed.

The parser in C stops every thread of the process until it returns. So it is asked for one event at a time, and the
event loop runs on while another thread reads a large file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

import yaml

from exporter.config.complaint import Complaint, ConfigError, KeyPath, format_path, printable_value

MAX_VALUES = 300_000  # of a document, keys included; each takes up to 200 bytes. 20,000 servers with all keys: 180,000
TOO_MANY_VALUES = f"expected at most {MAX_VALUES} values, found more: split the list"
_MAX_COMPLAINTS = 1000  # about keys; the others are not listed
_MAX_DEPTH = 20  # the deepest key of a configuration is at 4, and this reader recurses
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the implementation in C is ten times faster

_LONGEST_SCALAR = 1000  # characters that are tried as a number or a date; a longer scalar is a string
_STANDARD = "tag:yaml.org,2002:"
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # in YAML 1.1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}")
NULL = "null"
_TYPE_NAMES = {
    "null": NULL,
    "int": "a number",
    "float": "a number",
    "timestamp": "a date",
    "value": "a default value",
}
_TRUE_WORDS = {"yes", "true", "on"}  # in YAML 1.1, in any case
BOOLEANS = {"the boolean true": True, "the boolean false": False}

_HINTS = (
    (re.compile(r"\[[0-9A-Fa-f]*:"), "put an IPv6 address in quotes, as in '[2001:db8::1]'"),
    (re.compile(r"^ *\t"), "indent with spaces, because YAML does not allow tabs"),
    (re.compile(r"(^\s*-|:)\s+[*&%@`!]"), "put text that starts with a special character in quotes"),
)
"""The most likely cause of a syntax error in a line that matches."""


@dataclass(frozen=True, slots=True)
class UnsupportedScalar:
    """A YAML value that is not a string, a decimal integer, a list or a mapping."""

    text: str
    """The value as it is written in the file; empty for a key without a value."""
    read_as: str
    """The type that YAML gives it, such as "a date", NULL or a key of BOOLEANS."""

    def __str__(self) -> str:
        if not self.text:
            return "no value"
        shown = f"`{printable_value(self.text)}`"
        return shown if self.text.lower() == self.read_as else f"{shown}, which YAML reads as {self.read_as}"


class Collection(NamedTuple):
    """The line on which a list or a mapping begins, and the lines of its items, or of its keys and their values."""

    line: int
    children: "list[Lines] | dict[str, tuple[int, Lines]]"


Lines: TypeAlias = int | Collection
"""The lines of a value. They take a twentieth of the memory of PyYAML's nodes."""


def read(file: str, text: str) -> tuple[object, Lines, tuple[Complaint, ...]]:
    """Return the value of the only document, its lines, and what is wrong regardless of the meaning of the keys.

    Raises ConfigError.
    """
    reader = _Reader(file, text)
    try:
        return *reader.document(), tuple(reader.complaints)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_complaint(file, text, error)]) from error


def _syntax_complaint(file: str, text: str, error: yaml.MarkedYAMLError) -> Complaint:
    mark = error.problem_mark or error.context_mark
    index = mark.line if mark else 0
    blamed = [*_LINE_BREAK.split(text), ""][index]
    hints = [hint for pattern, hint in _HINTS if pattern.search(blamed)]
    return Complaint(file, index + 1, "", ": ".join(["invalid YAML", _syntax_error(error), *hints[:1]]))


def _syntax_error(error: yaml.MarkedYAMLError) -> str:
    """Return the words of PyYAML. Its context may be a clause with `while`, which reads better at the end."""
    context, problem = error.context or "", error.problem or ""
    parts = (problem, context) if context.startswith("while") else (context, problem)
    return " ".join(filter(None, parts))


class _Reader:
    """Turns the events of the parser into values and lines, and collects complaints about them."""

    def __init__(self, file: str, text: str) -> None:
        self.complaints: list[Complaint] = []
        self._file = file
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._resolver: Any = yaml.resolver.Resolver()
        self._values = 0

    def document(self) -> tuple[object, Lines]:
        """Raises ConfigError and MarkedYAMLError."""
        _, begin = next(self._events), next(self._events)
        content = begin if isinstance(begin, yaml.StreamEndEvent) else next(self._events)
        if content is begin or (isinstance(content, yaml.ScalarEvent) and not content.value):
            raise ConfigError([Complaint(self._file, None, "", "expected YAML, found an empty file")])
        found = self._value(content, (), 0)
        _, end = next(self._events), next(self._events)
        if not isinstance(end, yaml.StreamEndEvent):
            single, another = "expected a single document in the stream", "but found another document"
            raise yaml.MarkedYAMLError(single, begin.start_mark, another, end.start_mark)
        return found

    def _value(self, event: yaml.Event, path: KeyPath, depth: int) -> tuple[object, Lines]:
        """Return the value that begins with `event`, and its lines."""
        self._refuse_unbounded(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event), _line_of(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, path, depth + 1)
        return self._mapping(event, path, depth + 1)

    def _refuse_unbounded(self, event: yaml.Event, depth: int) -> None:
        """Aliases of aliases make a small file expand exponentially, and deep nesting exhausts the stack."""
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            anchor = f"`*{printable_value(str(event.anchor))}`"
            self._refuse(event, f"found the alias {anchor}, which is not supported: write the value out")
        if depth == _MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            self._refuse(event, f"expected at most {_MAX_DEPTH} levels of lists and mappings, found more")
        if self._values > MAX_VALUES:
            self._refuse(event, TOO_MANY_VALUES)

    def _refuse(self, event: yaml.Event, sentence: str) -> NoReturn:
        raise ConfigError([Complaint(self._file, _line_of(event), "", sentence)])

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        tag = event.tag
        if tag in {None, "!"} and len(event.value) > _LONGEST_SCALAR:
            return event.value
        if tag in {None, "!"}:
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        return _load_scalar(event.value, tag.removeprefix(_STANDARD))

    def _sequence(self, event: yaml.Event, path: KeyPath, depth: int) -> tuple[object, Lines]:
        values: list[object] = []
        lines: list[Lines] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            value, where = self._value(item, (*path, len(values)), depth)
            values.append(value)
            lines.append(where)
        return _tagged(event, "seq", values), Collection(_line_of(event), lines)

    def _mapping(self, event: yaml.Event, path: KeyPath, depth: int) -> tuple[object, Lines]:
        values: dict[str, object] = {}
        lines: dict[str, tuple[int, Lines]] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            line = _line_of(key)
            self._value(key, path, depth)
            if not isinstance(key, yaml.ScalarEvent):
                self._complain(line, path, "expected a key, found a list or a mapping: put the key in quotes")
                self._value(next(self._events), path, depth)
                continue
            name = key.value
            if name in lines:
                sentence = f"this key is already used on line {lines[name][0]}: remove one of them"
                self._complain(line, (*path, name), sentence)
            values[name], where = self._value(next(self._events), (*path, name), depth)
            lines[name] = line, where
        return _tagged(event, "map", values), Collection(_line_of(event), lines)

    def _complain(self, line: int, path: KeyPath, sentence: str) -> None:
        if len(self.complaints) < _MAX_COMPLAINTS:
            self.complaints.append(Complaint(self._file, line, format_path(path), sentence))


def _line_of(event: yaml.Event) -> int:
    assert event.start_mark is not None  # events of a text have one
    return event.start_mark.line + 1


def _tagged(event: Any, kind: str, value: object) -> object:
    """Return the value of a list or a mapping. One with another tag is unsupported."""
    tag = event.tag
    if tag in {None, "!", f"{_STANDARD}{kind}"}:
        return value
    return UnsupportedScalar(tag.replace(_STANDARD, "!!"), "a tag")


def _load_scalar(text: str, kind: str) -> object:
    if kind == "str":
        return text
    if kind == "int" and _DECIMAL.fullmatch(text):
        return int(text)
    if kind == "bool":
        return UnsupportedScalar(text, f"the boolean {str(text.lower() in _TRUE_WORDS).lower()}")
    if kind in {"int", "float"} and ":" in text:
        return UnsupportedScalar(text, "a number in base 60")
    return UnsupportedScalar(text, _TYPE_NAMES.get(kind, f"a value of the type {kind}"))
