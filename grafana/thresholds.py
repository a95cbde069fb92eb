"""The thresholds of the alerts, from the values of the rules, so that dashboards and alerts agree, and what follows
from them: how urgent it is to renew a certificate.

To change one, edit exporter/metrics/rules/values.yaml and the alert's promtool test, and run `make docs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from exporter.metrics.rules.values import Values
from grafana.promql import min_by


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


# ---------------------------------------------------------------- renewal


class RenewalState(IntEnum):
    """How urgent it is to renew a certificate: the lower, the more urgent."""

    EXPIRED = 0
    RENEW_NOW = 1
    RENEW_SOON = 2
    NOT_DUE = 3


def renewal_state(chain_not_after: str, not_after: str, not_before: str, thresholds: Thresholds, *labels: str) -> str:
    """Return PromQL whose value is the `RenewalState` for each combination of `labels`.

    It adds up how many of the three limits the remaining time of the chain exceeds: now, the critical alert, and the
    warning. The lifetime is the leaf's.
    """
    time_left = min_by(f"{chain_not_after} - time()", *labels)
    lifetime = min_by(f"{not_after} - {not_before}", *labels)
    return (
        f"({time_left} > bool 0)"
        f" + ({time_left} >= bool {_limit(thresholds.renew_now, lifetime)})"
        f" + ({time_left} >= bool {_limit(thresholds.renew_soon, lifetime)})"
    )


def _limit(threshold: RenewalThreshold, lifetime: str) -> str:
    return f"clamp_max({threshold.lifetime_ratio:g} * {lifetime}, {threshold.days:g} * 86400)"
