"""The servers that the exporter watches, and the labels of their series. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from exporter.model.addresses import Target
from exporter.model.names import ServerName
from exporter.model.sanitize import printable

DEFAULT_GROUP: Final = "default"
"""The group of the lists at the top level of the configuration."""

MAX_LABELS: Final = 16  # of a server; each stands in all of its series
_MAX_LABEL_NAME: Final = 64  # characters
MAX_LABEL_VALUE: Final = 128  # characters
_LABEL_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_NO_LABEL_CHARACTER = re.compile("[^a-zA-Z0-9_]+")

OWN_LABELS: Final = frozenset(
    {
        *("connection", "fingerprint_sha256", "implementation", "ip_family", "issuer", "method", "name"),
        *("probe_stage", "reason", "server_name", "service", "subject", "target", "version", "warning"),
    }
)
"""The labels that the series of the servers have anyway."""
_LABELS_OF_OTHERS: Final = frozenset({"alertname", "instance", "job", "le", "quantile", "severity"})
"""Prometheus, or an alert, sets these, so that nobody would see another value."""

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, sorted by name. No value is empty: for Prometheus, an empty label is the same as none."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """When a server is probed sooner or more rarely than at its interval. All values are in seconds."""

    confirm_after: float = 30.0
    """How soon after a change of the verdict the next probe comes, until two agree. Never later than the interval."""
    dormant_after: float = 7 * 86400.0
    """For how long a server must have failed to be dormant; infinite if no server ever is."""
    dormant_interval: float = 3600.0
    """From the start of one probe of a dormant server to the start of the next. Never less than the interval."""


DEFAULT_CADENCE = Cadence()


@dataclass(frozen=True, slots=True)
class WatchedServer:
    """A server that the configuration or a server list names."""

    server_name: ServerName
    interval: float
    """Seconds from the start of one probe to the start of the next, unless `cadence` says otherwise."""
    expected_delegation: Target | None
    """The only target that the server should have; None where the configuration expects nothing."""
    cadence: Cadence = DEFAULT_CADENCE
    labels: Labels = ()
    """What all of its series have in addition."""
    group: str = DEFAULT_GROUP


def parse_label_name(text: str) -> str:
    """Raises ValueError, whose message is the remedy."""
    if not _LABEL_NAME.fullmatch(text):
        better = _NO_LABEL_CHARACTER.sub("_", text).strip("_")
        raise ValueError(f"use {better}" if _LABEL_NAME.fullmatch(better) else "use letters, digits and underscores")
    if len(text) > _MAX_LABEL_NAME:
        raise ValueError(f"use at most {_MAX_LABEL_NAME} characters")
    if text.startswith("__") or text in OWN_LABELS | _LABELS_OF_OTHERS:
        raise ValueError("the exporter, Prometheus or an alert sets this label itself, so choose another name")
    return text


def parse_label_value(text: str) -> str:
    """Raises ValueError."""
    if printable(text, MAX_LABEL_VALUE) != text:
        raise ValueError
    return text


def sort_labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def override_labels(labels: Labels, others: Mapping[str, str]) -> Labels:
    """Return the labels with others, which win. An empty one removes the label."""
    return sort_labels({**dict(labels), **others})
