"""Which IP families the exporter's own machine has, as a metric, and in the log when it changes."""

from collections.abc import Mapping

import structlog

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.enums import IPFamily

log = structlog.get_logger()


class OwnFamilies:
    """Records the IP families that the exporter's machine has, in each network that groups are probed over."""

    def __init__(self, exporter_metrics: ExporterMetrics) -> None:
        self._up_metric = exporter_metrics.ip_family_up
        self._missing: dict[str, frozenset[IPFamily]] = {}
        """By network."""

    def record(self, by_network: Mapping[str, frozenset[IPFamily]]) -> None:
        """Set the metric, and log a change. If both families are missing, that is an outage, and logged as one."""
        for removed in self._missing.keys() - by_network.keys():
            del self._missing[removed]
            for family in IPFamily:
                self._up_metric.remove(removed, family)
        for network, families in by_network.items():
            self._record(network, families)

    def _record(self, network: str, families: frozenset[IPFamily]) -> None:
        for family in IPFamily:
            self._up_metric.labels(network, family).set(family in families)
        before = self._missing.setdefault(network, frozenset())
        missing = frozenset(IPFamily) - families
        if missing == before or not families:
            return
        for family in missing - before:
            log.warning(
                "this machine lacks an IP family: servers are probed over the other one, and not blamed",
                ip_family=family.value,
                group=network,
            )
        for family in before - missing:
            log.info("this machine has both IP families again", ip_family=family.value, group=network)
        self._missing[network] = missing
