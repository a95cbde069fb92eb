"""The thresholds of the alerts, from the values of the rules, so that dashboards and alerts agree.

To change one, edit exporter/metrics/rules/values.yaml and the alert's promtool test, and run `make docs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.metrics.rules.values import Values


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


def read_thresholds(values: Values) -> Thresholds:
    alerts = values.alerts
    return Thresholds(
        _renewal(alerts["MatrixFederationCertificateExpiringSoon"]),
        _renewal(alerts["MatrixFederationCertificateExpiryCritical"]),
        float(alerts["MatrixFederationAvailabilityLow"]["failure_ratio"]),
    )


def _renewal(alert: Mapping[str, str]) -> RenewalThreshold:
    return RenewalThreshold(float(alert["lifetime_ratio"]), float(alert["days"]))
