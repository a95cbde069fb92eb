"""The servers that the exporter watches, and the labels of their series. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from exporter.model.addresses import IPNetwork, Target
from exporter.model.names import ServerName
from exporter.model.sanitize import printable
from exporter.model.signing_keys import PinnedKey

DEFAULT_GROUP: Final = "default"
"""The group of the lists at the top level of the configuration."""

MAX_LABELS: Final = 16  # of a server; each stands in all of its series
_MAX_LABEL_NAME: Final = 64  # characters
MAX_LABEL_VALUE: Final = 128  # characters
_MAX_NAME: Final = 64  # characters, like those of a certificate that are kept
_LABEL_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_NO_LABEL_CHARACTER = re.compile("[^a-zA-Z0-9_]+")

OWN_LABELS: Final = frozenset(
    {
        *("connection", "expectation", "fingerprint_sha256", "implementation", "ip_family", "issuer", "method", "name"),
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


class Expectation(StrEnum):
    """What a configuration may expect of a server, as the fields of `Expectations` are named."""

    DELEGATION = "delegation"
    SIGNING_KEYS = "signing_keys"
    SOFTWARE = "software"
    ISSUER = "issuer"
    ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True)
class ExpectedSoftware:
    """The name of a homeserver in any case, and how its version begins; None if any version is as expected."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the configuration expects of a server. Where a field is None or empty, it expects nothing."""

    delegation: Target | None = None
    """The only target."""
    signing_keys: tuple[PinnedKey, ...] = ()
    """The only valid keys, like those to come: not all of them need be published."""
    software: ExpectedSoftware | None = None
    issuer: str | None = None
    """The common name or the organization of the authority that issued the certificates of the endpoints."""
    addresses: tuple[IPNetwork, ...] = ()
    """Where all endpoints are."""

    def alternatives(self, expectation: Expectation) -> tuple[Any, ...]:
        """Return the values one of which is expected; none if nothing is."""
        value = getattr(self, expectation)
        return value if isinstance(value, tuple) else (value,) if value else ()


NOTHING_EXPECTED: Final = Expectations()


@dataclass(frozen=True, slots=True)
class WatchedServer:
    """A server that the configuration or a server list names."""

    server_name: ServerName
    interval: float
    """Seconds from the start of one probe to the start of the next, unless `cadence` says otherwise."""
    expected: Expectations = NOTHING_EXPECTED
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


def parse_expected_software(text: str) -> ExpectedSoftware:
    """Parse a name, which the beginning of a version may follow. Raises ValueError."""
    name, _, version = parse_expected_name(text).rpartition(" ")
    return ExpectedSoftware(name, version) if name and version[:1].isdecimal() else ExpectedSoftware(text)


def parse_expected_name(text: str) -> str:
    """Raises ValueError, whose message is the remedy."""
    if not text or printable(text, _MAX_NAME) != text:
        raise ValueError(f"use 1 to {_MAX_NAME} printable characters")
    if text != text.strip():
        raise ValueError("remove the spaces around it")
    return text


def sort_labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def override_labels(labels: Labels, others: Mapping[str, str]) -> Labels:
    """Return the labels with others, which win. An empty one removes the label."""
    return sort_labels({**dict(labels), **others})
