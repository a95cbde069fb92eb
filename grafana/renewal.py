"""The renewal state of certificates, with the thresholds of the certificate alerts."""

from enum import IntEnum

from grafana.promql import min_by
from grafana.thresholds import RenewalThreshold, Thresholds


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
