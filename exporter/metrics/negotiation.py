"""Parses `Accept` and `Accept-Encoding` (RFC 9110, section 12.5). No header value raises an exception."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)  # RFC 9110, section 12.4.2
_DEFAULT_WEIGHT = "1"

OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"
_SUPPORTED_VERSIONS = {OPENMETRICS: {"", "1.0.0"}, _TEXT: {"", "0.0.4"}}
"""An empty version stands for any version."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One member of a list, such as `text/plain;version=0.0.4;q=0.3`, in lower case."""

    name: str
    parameters: dict[str, str]
    weight: float


def parse_preferences(header: str | None) -> Iterator[Preference]:
    """Yield the members of a header in their order, without those whose weight is invalid."""
    for member in (header or "").lower().split(","):
        name, *rest = (part.strip() for part in member.split(";"))
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)}
        weight = parameters.pop("q", _DEFAULT_WEIGHT)
        if name and _WEIGHT.fullmatch(weight):
            yield Preference(name, parameters, float(weight))


def wants_openmetrics(accept: str | None) -> bool:
    """Whether a client names OpenMetrics 1.0 and prefers it to the text format, or accepts both alike."""
    weights: dict[str, float] = {}
    for preference in parse_preferences(accept):
        if preference.parameters.get("version", "") in _SUPPORTED_VERSIONS.get(preference.name, {""}):
            weights[preference.name] = max(preference.weight, weights.get(preference.name, 0))
    openmetrics = weights.get(OPENMETRICS, 0)
    return openmetrics > 0 and openmetrics >= _first_weight(weights, _TEXT, "text/*", "*/*")


def wants_gzip(accept_encoding: str | None) -> bool:
    """Whether a client prefers gzip to no compression, or accepts both alike."""
    weights = {preference.name: preference.weight for preference in parse_preferences(accept_encoding)}
    gzip = _first_weight(weights, "gzip", "*")
    return gzip > 0 and gzip >= weights.get("identity", 0)


def _first_weight(weights: dict[str, float], *names: str) -> float:
    """Return the weight of the first name that has one, and 0 if none has."""
    return next((weights[name] for name in names if name in weights), 0)
