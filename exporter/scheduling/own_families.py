"""Which IP families the exporter's own machine has, as a metric, and in the log when it changes."""

import structlog

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.enums import IPFamily

log = structlog.get_logger()


class OwnFamilies:
    """Records the IP families that the exporter's machine has."""

    def __init__(self, exporter_metrics: ExporterMetrics) -> None:
        self._up_metric = exporter_metrics.ip_family_up
        self._missing: frozenset[IPFamily] = frozenset()

    def record(self, families: frozenset[IPFamily]) -> None:
        """Set the metric, and log a change. If both families are missing, that is an outage, and logged as one."""
        for family in IPFamily:
            self._up_metric.labels(family).set(family in families)
        missing = frozenset(IPFamily) - families
        if missing == self._missing or not families:
            return
        for family in missing - self._missing:
            log.warning(
                "this machine lacks an IP family: servers are probed over the other one, and not blamed",
                ip_family=family.value,
            )
        for family in self._missing - missing:
            log.info("this machine has both IP families again", ip_family=family.value)
        self._missing = missing
