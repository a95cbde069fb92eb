"""Values against their declaration: every complaint at once, in words for an administrator."""

from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.complaint import Complaint, Path, printable_value
from exporter.config.document import Document, describe
from exporter.config.value_types import UnexpectedError

Checked = TypeVar("Checked")

_UNEXPECTED = {
    "tuple_type": UnexpectedError("a list", "begin each item with `- `"),
    "dict_type": UnexpectedError("a mapping", "write one `key: value` on each line"),
    "string_unicode": UnexpectedError("a key that is text", "write no half of a surrogate pair"),
}
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)  # to make one takes 30 ms


def check(kind: type[Checked], document: Document) -> tuple[Checked | None, list[Complaint]]:
    """What the document says, or why it cannot be had. `kind` is made of dataclasses, tuples and dicts."""
    try:
        return _adapter(kind).validate_python(document.root), []
    except ValidationError as error:
        return None, [_complaint(kind, document, details) for details in error.errors(include_url=False)]


def _complaint(kind: type[object], document: Document, error: ErrorDetails) -> Complaint:
    path, found = error["loc"], error["input"]
    match error["type"]:
        case "unexpected_keyword_argument":
            return document.complaint(path, _unknown_key(str(path[-1]), _keys_at(kind, path[:-1])))
        case "missing":
            return document.complaint(path[:-1], f"expected the key `{path[-1]}`, found none: add it")
        case "too_long":
            most, length = error["ctx"]["max_length"], error["ctx"]["actual_length"]
            return document.complaint(path, f"expected at most {most} items, found {length}: leave some out")
        case "dataclass_type":
            wrong = UnexpectedError(f"a mapping with keys out of {', '.join(_keys_at(kind, path))}", "")
        case "value_error":
            wrong = error["ctx"]["error"]
        case known:
            wrong = _UNEXPECTED[known]
    return document.complaint(_without_key_mark(path), _expectation(wrong, found))


def _expectation(wrong: UnexpectedError, found: object) -> str:
    remedy = f": {wrong.remedy}" if wrong.remedy else ""
    what = "what is not shown here" if wrong.secret else describe(found)
    return f"expected {wrong.expected}, found {what}{remedy}"


def _without_key_mark(path: Path) -> Path:
    """Where the key itself is wrong, pydantic says so by a last step."""
    return path[:-1] if path and path[-1] == "[key]" else path


def _unknown_key(key: str, known: list[str]) -> str:
    nearest = get_close_matches(printable_value(key), known, n=1)
    advice = f"did you mean `{nearest[0]}`?" if nearest else f"the keys here are {', '.join(known)}"
    return f"unknown key `{printable_value(key)}`, {advice}"


def _keys_at(kind: Any, path: Path) -> list[str]:
    """The keys that may stand in the mapping at `path`."""
    for step in path:
        kind = get_args(kind)[0] if isinstance(step, int) else get_type_hints(kind)[step]
    return [field.name for field in fields(kind)]
