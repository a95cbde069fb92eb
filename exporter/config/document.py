"""Parses YAML and JSON into plain values whose lines are known. Everything is bounded, and nothing is executed."""

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from exporter.config.complaint import Complaint, ConfigError, KeyPath, format_path, printable_value

_MAX_DEPTH = 20  # the deepest key of a configuration is at 4, and PyYAML recurses
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the implementation in C is ten times faster

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
    return f"the number {value}"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file."""

    file: str
    root: object
    """YAML: built from dict (with str keys), list, str, int and UnsupportedScalar. JSON: what `json` returns."""
    node: yaml.Node | None
    """The same as nodes that know their lines; None if the lines are not known."""
    complaints: tuple[Complaint, ...]
    """What is wrong regardless of the meaning of the keys, such as a duplicate key."""

    def complaint(self, path: KeyPath, sentence: str) -> Complaint:
        return Complaint(self.file, self.line(path), format_path(path), sentence)

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the key or item at `path`, or of its nearest parent that exists."""
        if self.node is None:
            return None
        node, line = self.node, _line_of(self.node)
        for key in path:
            entry = _find_entry(node, key)
            if entry is None:
                break
            node, line = entry
        return line


_Entry: TypeAlias = tuple[yaml.Node, int]


def _find_entry(node: yaml.Node, key: str | int) -> _Entry | None:
    """Return the value at a key or index, and the line of that key or item. Of duplicate keys, the last one counts, as
    it does for the values.
    """
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        return node.value[key], _line_of(node.value[key])
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((value, _line_of(name)) for name, value in reversed(entries) if name.value == key), None)


def _line_of(where: yaml.Node | yaml.Event) -> int:
    assert where.start_mark is not None  # nodes that were parsed from text have one
    return where.start_mark.line + 1


# ---------------------------------------------------------------- YAML


def parse_yaml(file: str, text: str) -> Document:
    """Raises ConfigError if `text` is not valid YAML, is empty, or contains more than one document."""
    try:
        node = _compose(file, text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_complaint(file, text, error)]) from error
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        raise ConfigError([Complaint(file, None, "", "expected YAML, found an empty file")])
    plain = _PlainLoader(file)
    return Document(file, plain.value(node, ()), node, tuple(plain.complaints))


def _compose(file: str, text: str) -> yaml.Node | None:
    _refuse_unbounded(file, text)
    return yaml.compose(text, Loader=_LOADER)


def _refuse_unbounded(file: str, text: str) -> None:
    """Aliases of aliases make a small file expand exponentially, and deep nesting exhausts the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            sentence = (
                f"found the alias `*{printable_value(str(event.anchor))}`, which is not supported: write the value out"
            )
            raise ConfigError([Complaint(file, _line_of(event), "", sentence)])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            sentence = f"expected at most {_MAX_DEPTH} levels of lists and mappings, found more"
            raise ConfigError([Complaint(file, _line_of(event), "", sentence)])


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


class _PlainLoader:
    """Turns nodes into plain values, and collects complaints about them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.complaints: list[Complaint] = []

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        kind = node.tag.removeprefix(_STANDARD)
        match node:
            case yaml.ScalarNode():
                return _load_scalar(node.value, kind)
            case yaml.SequenceNode() if kind == "seq":
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case yaml.MappingNode() if kind == "map":
                return self.mapping(node, path)
        return UnsupportedScalar(node.tag.replace(_STANDARD, "!!"), "a tag")

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        seen: dict[str, int] = {}
        values: dict[str, object] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self.complain(name, path, "expected a key, found a list or a mapping: put the key in quotes")
                continue
            if name.value in seen:
                sentence = f"this key is already used on line {seen[name.value]}: remove one of them"
                self.complain(name, (*path, name.value), sentence)
            seen.setdefault(name.value, _line_of(name))
            values[name.value] = self.value(value, (*path, name.value))
        return values

    def complain(self, node: yaml.Node, path: KeyPath, sentence: str) -> None:
        self.complaints.append(Complaint(self.file, _line_of(node), format_path(path), sentence))


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


# ---------------------------------------------------------------- JSON


def parse_json(file: str, text: str) -> Document:
    """Raises ConfigError if `text` is not valid JSON."""
    try:
        root = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError([Complaint(file, error.lineno, "", f"invalid JSON: {error.msg}")]) from error
    except (ValueError, RecursionError) as error:
        sentence = "cannot parse this JSON: it is nested too deeply, or contains a number that is too long"
        raise ConfigError([Complaint(file, None, "", sentence)]) from error
    return Document(file, root, _node_of_json(file, text), ())


def _node_of_json(file: str, text: str) -> yaml.Node | None:
    """Parse JSON as YAML, which knows the lines. Return None for unpaired surrogates, which only JSON allows."""
    try:
        return _compose(file, text)
    except yaml.YAMLError:
        return None
