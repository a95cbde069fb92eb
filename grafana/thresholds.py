"""The thresholds of the alerts, read from the rule files, so that dashboards and alerts agree.

To change a threshold, edit the alert's `expr` and its promtool test, and run `make docs`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

RULES_FOLDER = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules"

# The expressions of the alerts: `N` is a number, and `…` a selector or a list of labels.
_RENEWAL = "(min by (…) (…) - time()) < clamp_max(N * min by (…) (… - …), N * 86400) > 0"
_AVAILABILITY = "… > N and … > N"
_PLACEHOLDERS = {"N": r"(\d+(?:\.\d+)?)", "…": r"[^<>()+*/]+"}


@dataclass(frozen=True, slots=True)
class RenewalThreshold:
    """The alert fires when the remaining time is less than both this ratio of the lifetime and this number of days."""

    lifetime_ratio: float
    days: float

    def __str__(self) -> str:
        return f"{100 * self.lifetime_ratio:g} % of the lifetime and {self.days:g} days"


@dataclass(frozen=True, slots=True)
class Thresholds:
    renew_soon: RenewalThreshold
    renew_now: RenewalThreshold
    failure_ratio: float
    """The alert on low availability fires when a larger ratio of the probes failed."""


def read_thresholds(folder: Path = RULES_FOLDER) -> Thresholds:
    """Return the thresholds of the rule files in `folder`.

    Raises ValueError if an alert is missing or if its expression has changed its shape.
    """
    expressions = _read_expressions(folder)
    failure_ratio, _minimum_probes = _extract("MatrixFederationAvailabilityLow", _AVAILABILITY, expressions)
    return Thresholds(
        RenewalThreshold(*_extract("MatrixFederationCertificateExpiringSoon", _RENEWAL, expressions)),
        RenewalThreshold(*_extract("MatrixFederationCertificateExpiryCritical", _RENEWAL, expressions)),
        failure_ratio,
    )


def _read_expressions(folder: Path) -> dict[str, str]:
    """Return the expression of each alert, by the alert's name."""
    files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.yml"))]
    rules = [rule for content in files for group in content["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule["expr"] for rule in rules if "alert" in rule}


def _extract(alert: str, shape: str, expressions: dict[str, str]) -> list[float]:
    """Return the numbers of the alert's expression in the places of the `N` of `shape`."""
    if alert not in expressions:
        raise ValueError(f"{alert}: no rule file defines this alert")
    pattern = "".join(_PLACEHOLDERS.get(character, re.escape(character)) for character in _without_spaces(shape))
    found = re.fullmatch(pattern, _without_spaces(expressions[alert]))
    if found is None:
        raise ValueError(
            f"{alert}: expected an expression like {shape!r}, found {' '.join(expressions[alert].split())!r}; "
            "adapt grafana/thresholds.py to the new expression"
        )
    return [float(number) for number in found.groups()]


def _without_spaces(expression: str) -> str:
    return "".join(expression.split())
