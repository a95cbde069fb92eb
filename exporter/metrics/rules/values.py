"""The values of the rules: values.yaml names all of them with their defaults, and a file of the operator changes some.

The type of a value is that of its default. Values are kept as they are written.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from exporter.config import Complaint, ConfigError, files
from exporter.config.checking import expectation, unknown_key
from exporter.config.complaint import KeyPath
from exporter.config.document import Document, parse_yaml
from exporter.config.value_types import UnexpectedError
from exporter.config.yaml_reader import UnsupportedScalar

DEFAULTS_FILE: Final = Path(__file__).with_name("values.yaml")
_ALERTS, _ENABLED = "alerts", "enabled"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a value may be. It becomes part of PromQL and YAML as it is, so nothing that ends a string is allowed."""

    pattern: str
    expected: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})

    def accepts(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None


_LABEL = _Kind(r"[A-Za-z_][A-Za-z0-9_]*", "the name of a label")
_BOOLEAN = _Kind("true|false", "true or false", {"type": "boolean"})
_NUMBER = _Kind(r"\d{1,15}(\.\d{1,15})?", "a number such as 0.2 or 21", {"type": "number", "minimum": 0})
_DURATION = _Kind(r"(\d{1,9}(ms|[smhdwy]))+", "a duration such as 10m")
_URL = _Kind(r"https?://[^\s\"'`\\{}\[\]#]+", "a URL such as https://exporter.example.org")
_OF_KEY: Final = {
    _ENABLED: _BOOLEAN,
    "severity": _Kind("[A-Za-z][A-Za-z0-9_-]*", "a word such as critical, warning or info"),
    "job": _Kind(r"[^\s\"'`\\{}\[\]#]+", "the name of a scrape job, without spaces and quotes"),
    "runbooks": _URL,
    "exporter_url": _URL,
}


def _kind(key: str, default: str) -> _Kind:
    of_default = (kind for kind in (_NUMBER, _DURATION) if kind.accepts(default))
    return _OF_KEY.get(key) or next(of_default)


@dataclass(frozen=True, slots=True)
class Values:
    """The values by name, as they are written."""

    common: Mapping[str, str]
    """Of all rules."""
    exporter_labels: tuple[str, ...]
    alerts: Mapping[str, Mapping[str, str]]
    """Of each alert."""

    def enabled(self, alert: str) -> bool:
        return self.alerts[alert].get(_ENABLED) != "false"


@cache
def defaults() -> Values:
    root: Any = parse_yaml(DEFAULTS_FILE.name, DEFAULTS_FILE.read_text(encoding="utf-8")).root
    labels = tuple(root.pop("exporter_labels"))
    alerts = {
        alert: {key: _text(value) for key, value in values.items()} for alert, values in root.pop(_ALERTS).items()
    }
    return Values({key: _text(value) for key, value in root.items()}, labels, alerts)


def _text(scalar: object) -> str:
    return scalar.text if isinstance(scalar, UnsupportedScalar) else str(scalar)


def load(path: Path) -> Values:
    """Return the defaults with the changes of a file. Raises ConfigError with all complaints."""
    file = str(path)
    try:
        content = files.read_bytes(path)
    except files.UnreadableError as error:
        raise ConfigError([Complaint(file, None, "", str(error))]) from error
    document = parse_yaml(file, files.decode(file, content))
    complaints = [*document.complaints, *_complaints(document)]
    if complaints:
        raise ConfigError(complaints)
    return _changed(defaults(), document.root)


def _changed(values: Values, root: Any) -> Values:
    labels = tuple(root.pop("exporter_labels", values.exporter_labels))
    alerts = dict(values.alerts)
    for alert, changes in root.pop(_ALERTS, {}).items():
        alerts[alert] = {**alerts[alert], **{key: _text(value) for key, value in changes.items()}}
    return replace(
        values,
        common={**values.common, **{key: _text(value) for key, value in root.items()}},
        exporter_labels=labels,
        alerts=alerts,
    )


# ---------------------------------------------------------------- complaints


def _complaints(document: Document) -> Iterator[Complaint]:
    known = defaults()
    yield from _of_mapping(document, (), document.root, known.common, ("exporter_labels", _ALERTS))
    root = document.root if isinstance(document.root, dict) else {}
    yield from _of_labels(document, root.get("exporter_labels", known.exporter_labels))
    alerts = root.get(_ALERTS, {})
    yield from _of_mapping(document, (_ALERTS,), alerts, {}, tuple(known.alerts))
    for alert, changes in alerts.items() if isinstance(alerts, dict) else ():
        if alert in known.alerts:
            allowed = {**known.alerts[alert], _ENABLED: "true"}
            yield from _of_mapping(document, (_ALERTS, alert), changes, allowed)


def _of_mapping(
    document: Document, path: KeyPath, found: object, allowed: Mapping[str, str], nested: tuple[str, ...] = ()
) -> Iterator[Complaint]:
    """`allowed` are the defaults of the keys of the mapping; `nested` are its other keys."""
    if not isinstance(found, dict):
        yield document.complaint(path, expectation(UnexpectedError("a mapping", ""), found))
        return
    for key, value in found.items():
        if key not in allowed and key not in nested:
            yield document.complaint((*path, key), unknown_key(key, [*allowed, *nested]))
        elif key in allowed and not _accepts(kind := _kind(key, allowed[key]), value):
            yield document.complaint((*path, key), expectation(UnexpectedError(kind.expected, ""), value))


def _of_labels(document: Document, found: object) -> Iterator[Complaint]:
    if not isinstance(found, list | tuple) or not found:
        yield document.complaint(("exporter_labels",), expectation(UnexpectedError("a list of labels", ""), found))
        return
    for index, label in enumerate(found):
        if not _accepts(_LABEL, label):
            yield document.complaint(
                ("exporter_labels", index), expectation(UnexpectedError(_LABEL.expected, ""), label)
            )


def _accepts(kind: _Kind, value: object) -> bool:
    return isinstance(value, str | int | UnsupportedScalar) and kind.accepts(_text(value))


# ---------------------------------------------------------------- schema


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a file with values."""
    known = defaults()
    labels = {"type": "array", "items": {"type": "string", "pattern": f"^{_LABEL.pattern}$"}}
    alerts = {alert: _object_schema({**values, _ENABLED: "true"}) for alert, values in known.alerts.items()}
    of_alerts = {"type": "object", "additionalProperties": False, "properties": alerts}
    whole = _object_schema(known.common)
    whole["properties"] |= {"exporter_labels": labels, _ALERTS: of_alerts}
    return whole


def _object_schema(values: Mapping[str, str]) -> dict[str, Any]:
    properties = {key: _schema_of(_kind(key, default)) for key, default in values.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _schema_of(kind: _Kind) -> dict[str, Any]:
    pattern = {"pattern": f"^{kind.pattern}$"} if kind.schema["type"] == "string" else {}
    return {**kind.schema, **pattern}
