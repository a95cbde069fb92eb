"""`Accept` and `Accept-Encoding` (RFC 9110, section 12.5), read without ever failing: they come from outside. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)  # RFC 9110, section 12.4.2
_WEIGHT_WHERE_NONE_IS_GIVEN = "1"

OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"
_VERSIONS = {OPENMETRICS: {"", "1.0.0"}, _TEXT: {"", "0.0.4"}}
"""The versions that are spoken here; no version asks for any."""


@dataclass(frozen=True, slots=True)
class Preference:
    """One member of a list, such as `text/plain;version=0.0.4;q=0.3`, in lower case."""

    name: str
    parameters: dict[str, str]
    weight: float


def preferences(header: str | None) -> Iterator[Preference]:
    """In the order of the header; a member whose weight cannot be read is left out."""
    for member in (header or "").lower().split(","):
        name, *rest = (part.strip() for part in member.split(";"))
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)}
        weight = parameters.pop("q", _WEIGHT_WHERE_NONE_IS_GIVEN)
        if name and _WEIGHT.fullmatch(weight):
            yield Preference(name, parameters, float(weight))


def wants_openmetrics(accept: str | None) -> bool:
    """OpenMetrics 1.0 is asked for by name and not less than the text format. Other versions are not spoken here."""
    weights: dict[str, float] = {}
    for preference in preferences(accept):
        if preference.parameters.get("version", "") in _VERSIONS.get(preference.name, {""}):
            weights[preference.name] = max(preference.weight, weights.get(preference.name, 0))
    openmetrics = weights.get(OPENMETRICS, 0)
    return openmetrics > 0 and openmetrics >= _first(weights, _TEXT, "text/*", "*/*")


def wants_gzip(accept_encoding: str | None) -> bool:
    """Acceptable, and not less welcome than no compression."""
    weights = {preference.name: preference.weight for preference in preferences(accept_encoding)}
    gzip = _first(weights, "gzip", "*")
    return gzip > 0 and gzip >= weights.get("identity", 0)


def _first(weights: dict[str, float], *names: str) -> float:
    """The weight of the most specific name that is listed; what is not listed is not wanted."""
    return next((weights[name] for name in names if name in weights), 0)
