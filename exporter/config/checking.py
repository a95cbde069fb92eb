"""Validates the values of a document against their declaration, and turns the errors of pydantic into complaints."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.complaint import HIDDEN_VALUE, Complaint, KeyPath, printable_value
from exporter.config.document import Document, describe
from exporter.config.value_types import UnexpectedError

_Declared = TypeVar("_Declared")

NOT_A_LIST = UnexpectedError("a list", "begin each item with `- `")
NOT_A_MAPPING = UnexpectedError("a mapping", "write each entry as `key: value` on a line of its own")
_UNEXPECTED = {"tuple_type": NOT_A_LIST, "dict_type": NOT_A_MAPPING}
"""By the type of pydantic's error, for the types that the declaration does not describe itself."""

_type_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)  # creating one takes 30 ms


def validate(declaration: type[_Declared], document: Document) -> tuple[_Declared | None, list[Complaint]]:
    """Return an instance of the declaration, or None and all complaints.

    A declaration consists of dataclasses, tuples and dicts.
    """
    try:
        return _type_adapter(declaration).validate_python(document.root), []
    except ValidationError as error:
        return None, [_complaint(declaration, document, details) for details in error.errors(include_url=False)]


def _complaint(declaration: type[object], document: Document, error: ErrorDetails) -> Complaint:
    path, found = error["loc"], error["input"]
    match error["type"]:
        case "unexpected_keyword_argument":
            return document.complaint(path, unknown_key(str(path[-1]), _keys_at(declaration, path[:-1])))
        case "missing":
            return document.complaint(path[:-1], missing_key(f"`{path[-1]}`"))
        case "too_long":
            most, length = error["ctx"]["max_length"], error["ctx"]["actual_length"]
            items = "1 item" if most == 1 else f"{most} items"
            return document.complaint(path, f"expected at most {items}, found {length}: remove some")
        case "dataclass_type":
            wrong = not_a_mapping_with(_keys_at(declaration, path))
        case "value_error":
            wrong = error["ctx"]["error"]
        case known:
            wrong = _UNEXPECTED[known]
    return document.complaint(_without_key_mark(path), expectation(wrong, found))


def missing_key(key: str) -> str:
    return f"missing key {key}: add it"


def expectation(wrong: UnexpectedError, found: object) -> str:
    """Return the sentence of a complaint about a value of the wrong type."""
    remedy = f": {wrong.remedy}" if wrong.remedy else ""
    return f"expected {wrong.expected}, found {HIDDEN_VALUE if wrong.secret else describe(found)}{remedy}"


def _without_key_mark(path: KeyPath) -> KeyPath:
    """Remove the last step that pydantic appends if the key itself is wrong, and not its value."""
    return path[:-1] if path and path[-1] == "[key]" else path


def not_a_mapping_with(keys: Sequence[str]) -> UnexpectedError:
    return UnexpectedError(f"a mapping with {'the key' if len(keys) == 1 else 'any of the keys'} {', '.join(keys)}", "")


def unknown_key(key: str, known: Sequence[str]) -> str:
    nearest = get_close_matches(printable_value(key), known, n=1)
    advice = f"did you mean `{nearest[0]}`?" if nearest else f"the possible keys are {', '.join(known)}"
    return f"unknown key `{printable_value(key)}`, {advice}"


def _keys_at(declaration: Any, path: KeyPath) -> list[str]:
    """Return the keys that the mapping at `path` may have."""
    for step in path:
        declaration = get_args(declaration)[0] if isinstance(step, int) else get_type_hints(declaration)[step]
        if isinstance(declaration, UnionType):  # a section or None
            declaration, _ = get_args(declaration)
    return [field.name for field in fields(declaration)]
