"""What the exporter's own network lacks: IP families, and proxies that work. As metrics, and in the log at a change."""

from collections.abc import Mapping

import structlog

from exporter.judging import verdict
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.enums import IPFamily
from exporter.model.outcomes import ProxyFailure, found
from exporter.model.reasons import Reason
from exporter.model.report import Report

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


class OwnProxies:
    """Decides for each report whether a failure of a proxy explains it, and records that."""

    def __init__(self, exporter_metrics: ExporterMetrics) -> None:
        self._exporter_metrics = exporter_metrics
        self._logged: set[tuple[str, Reason]] = set()
        """What each proxy fails with, and is in the log."""

    def explain(self, report: Report) -> bool:
        """Whether a proxy failed, so that the report says nothing about the server."""
        if failure := verdict.proxy_failure(report):
            self._record(failure, report)
            return True
        for endpoint in report.endpoints:
            if proxy := found(endpoint.tunnel):
                self._record_success(proxy)
        return False

    def _record(self, failure: ProxyFailure, report: Report) -> None:
        self._exporter_metrics.record_proxy_failure(failure.proxy, failure.reason)
        if (failure.proxy, failure.reason) not in self._logged:
            self._logged.add((failure.proxy, failure.reason))
            log.error(
                "the exporter's own proxy fails: failures are not attributed to servers",
                proxy=failure.proxy,
                reason=failure.reason.value,
                because=failure.detail,
                server_name=report.server_name.text,
            )

    def _record_success(self, proxy: str) -> None:
        """Log that the proxy works again. One that refuses some servers and not others is only logged once."""
        over = {each for each in self._logged if each[0] == proxy and each[1] is not Reason.PROXY_FORBIDDEN}
        if over:
            self._logged -= over
            log.info("the exporter's own proxy works again", proxy=proxy)
