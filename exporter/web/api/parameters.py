"""The parameters of pages and lists. All functions raise RefusedError, which says what was expected."""

from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final, TypeVar

from starlette.requests import Request

from exporter.model.sanitize import printable
from exporter.model.servers import MAX_LABELS, Labels
from exporter.web.api.queries import RefusedError

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MAX_SHOWN = 100  # characters of a parameter, in a sentence
MAX_WORDS = 300  # characters of a search: a server name has at most 261

_Choice = TypeVar("_Choice", bound=StrEnum)


def parse_text(request: Request, parameter: str) -> str:
    """Return the text without blanks around it, or an empty text if the parameter is missing."""
    given = request.query_params.getlist(parameter)
    if len(given) > 1:
        raise _refusal(f"Expected one parameter {parameter}, found {len(given)}.")
    text = given[0].strip() if given else ""
    if len(text) > MAX_WORDS:
        raise _refusal(f"Expected at most {MAX_WORDS} characters in {parameter}, found {len(text)}.")
    return text


def parse_choice(request: Request, parameter: str, choices: type[_Choice]) -> _Choice | None:
    """Return None if the parameter is missing or empty."""
    text = parse_text(request, parameter)
    if text in {"", *choices}:
        return choices(text) if text else None
    raise _refusal(f"Expected {parameter} to be one of {', '.join(choices)}, found {printable(text, _MAX_SHOWN)}.")


def parse_labels(request: Request) -> Labels:
    """Return the labels that the parameters `label` name, each as NAME=VALUE. Empty parameters mean nothing."""
    given = [text for text in request.query_params.getlist("label") if text]
    if len(given) > MAX_LABELS:
        raise _refusal(f"Expected at most {MAX_LABELS} parameters label, found {len(given)}.")
    return tuple(map(_parse_label, given))


def _parse_label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals and value and len(text) <= MAX_WORDS:
        return name, value
    raise _refusal(f"Expected a label such as label=team=chat, found {printable(text, _MAX_SHOWN)}.")


def parse_number(request: Request, parameter: str, least: int, most: int) -> int | None:
    """Return None if the parameter is missing or empty."""
    text = parse_text(request, parameter)
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    found = printable(text, _MAX_SHOWN)
    raise _refusal(f"Expected {parameter} to be a whole number from {least} to {most}, found {found}.")


def parse_time(request: Request, parameter: str) -> datetime:
    """Return the time in UTC, or the epoch if the parameter is missing or empty."""
    text = parse_text(request, parameter)
    if not text:
        return _EPOCH
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return max(_EPOCH, at.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    found = printable(text, _MAX_SHOWN)
    raise _refusal(f"Expected {parameter} to be a time such as 2026-11-28T02:13:00Z, found {found}.")


def _refusal(sentence: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, sentence)
