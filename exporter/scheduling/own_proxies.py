"""Whether the exporter's own proxies do what they should, as a metric, and in the log when it changes."""

import structlog

from exporter.judging import verdict
from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.outcomes import ProxyFailure, found
from exporter.model.reasons import Reason
from exporter.model.report import Report

log = structlog.get_logger()


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
