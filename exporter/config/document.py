"""YAML and JSON as plain values that remember their lines. Everything is bounded, nothing is executed."""

import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from exporter.config.complaint import Complaint, ConfigError, Path, format_path, printable_value

_MAX_DEPTH = 20  # our deepest key stands at 4, and PyYAML recurses
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster

_STANDARD = "tag:yaml.org,2002:"
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # in YAML 1.1
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}")
NOTHING = "nothing"
_TYPE_NAMES = {"null": NOTHING, "int": "a number", "float": "a number", "timestamp": "a date", "value": "a default"}
_TRUE_WORDS = {"yes", "true", "on"}  # in YAML 1.1, without regard to case
BOOLEANS = {"the truth value true": True, "the truth value false": False}

_HINTS = (
    (re.compile(r"\[[0-9A-Fa-f]*:"), "put an IPv6 address into quotes, as in '[2001:db8::1]'"),
    (re.compile(r"^ *\t"), "indent with spaces, YAML allows no tabs"),
    (re.compile(r"(^\s*-|:)\s+[*&%@`!]"), "put a text that begins with a special character into quotes"),
)
"""What most often is behind a syntax error in a line like this."""


@dataclass(frozen=True, slots=True)
class UnsupportedScalar:
    """A YAML value that is neither text nor a plain whole number, a list or a mapping."""

    text: str
    read_as: str

    def __str__(self) -> str:
        return f"`{printable_value(self.text)}`, which YAML reads as {self.read_as}" if self.text else NOTHING


def describe(value: object) -> str:
    """What was found, as an administrator would call it."""
    match value:
        case UnsupportedScalar():
            return str(value)
        case str():
            return f"`{printable_value(value)}`" if value else "an empty text"
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
    """`root` is made of dict (its keys are text), list, str, int and Odd; in JSON, of what `json` makes."""

    file: str
    root: object
    node: yaml.Node | None
    """None where there is no telling lines."""
    complaints: tuple[Complaint, ...]
    """What is wrong whatever the keys mean, such as one that is given twice."""

    def complaint(self, path: Path, sentence: str) -> Complaint:
        return Complaint(self.file, self.line(path), format_path(path), sentence)

    def line(self, path: Path) -> int | None:
        """Of the key or the item that `path` leads to, or of what is nearest above it."""
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
    """The value under a key or an index, and the line on which it begins; of a key that is given twice, the last one
    counts here as elsewhere.
    """
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        return node.value[key], _line_of(node.value[key])
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((value, _line_of(name)) for name, value in reversed(entries) if name.value == key), None)


def _line_of(where: yaml.Node | yaml.Event) -> int:
    assert where.start_mark is not None  # all come from text
    return where.start_mark.line + 1


# ---------------------------------------------------------------- YAML


def parse_yaml(file: str, text: str) -> Document:
    """Raises ConfigError where `text` is not YAML, is empty, or holds more than one document."""
    try:
        node = _compose(file, text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_complaint(file, text, error)]) from error
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        raise ConfigError([Complaint(file, None, "", "expected YAML, found nothing: the file is empty")])
    plain = _PlainLoader(file)
    return Document(file, plain.value(node, ()), node, tuple(plain.complaints))


def _compose(file: str, text: str) -> yaml.Node | None:
    _refuse_unbounded(file, text)
    return yaml.compose(text, Loader=_LOADER)


def _refuse_unbounded(file: str, text: str) -> None:
    """Aliases make a small file large (each may stand for many of them), and deep nesting exhausts the stack."""
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
    found = " ".join(part for part in (error.context, error.problem) if part)
    return Complaint(file, index + 1, "", ": ".join([f"this is not YAML, {found}", *hints[:1]]))


class _PlainLoader:
    """Turns nodes into plain values, and collects what is wrong with them on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.complaints: list[Complaint] = []

    def value(self, node: yaml.Node, path: Path) -> object:
        kind = node.tag.removeprefix(_STANDARD)
        match node:
            case yaml.ScalarNode():
                return _load_scalar(node.value, kind)
            case yaml.SequenceNode() if kind == "seq":
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case yaml.MappingNode() if kind == "map":
                return self.mapping(node, path)
        return UnsupportedScalar(node.tag.replace(_STANDARD, "!!"), "a tag")

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        seen: dict[str, int] = {}
        values: dict[str, object] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self.complain(name, path, "expected a key, found a list or a mapping: put the key into quotes")
                continue
            if name.value in seen:
                sentence = f"this key is there already, on line {seen[name.value]}: keep one of them"
                self.complain(name, (*path, name.value), sentence)
            seen.setdefault(name.value, _line_of(name))
            values[name.value] = self.value(value, (*path, name.value))
        return values

    def complain(self, node: yaml.Node, path: Path, sentence: str) -> None:
        self.complaints.append(Complaint(self.file, _line_of(node), format_path(path), sentence))


def _load_scalar(text: str, kind: str) -> object:
    if kind == "str":
        return text
    if kind == "int" and _DECIMAL.fullmatch(text):
        return int(text)
    if kind == "bool":
        return UnsupportedScalar(text, f"the truth value {str(text.lower() in _TRUE_WORDS).lower()}")
    if kind in {"int", "float"} and ":" in text:
        return UnsupportedScalar(text, "a number in base 60")
    return UnsupportedScalar(text, _TYPE_NAMES.get(kind, f"a value of the type {kind}"))


# ---------------------------------------------------------------- JSON


def parse_json(file: str, text: str) -> Document:
    """Raises ConfigError where `text` is not JSON."""
    try:
        root = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError([Complaint(file, error.lineno, "", f"this is not JSON: {error.msg}")]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            [Complaint(file, None, "", "this JSON cannot be read: it is nested too deeply, or holds too long a number")]
        ) from error
    return Document(file, root, _node_of_json(file, text), ())


def _node_of_json(file: str, text: str) -> yaml.Node | None:
    """JSON is YAML, which tells the lines; but for halves of surrogate pairs, which YAML refuses."""
    try:
        return _compose(file, text)
    except yaml.YAMLError:
        return None
