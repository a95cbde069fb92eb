"""The IP families of the exporter's own machine, in the metric and in the log."""

from structlog.testing import capture_logs

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.model.enums import IPFamily
from exporter.scheduling.own_network import OwnFamilies

BOTH, ONLY_IPV4 = frozenset(IPFamily), frozenset({IPFamily.IPV4})
NONE: frozenset[IPFamily] = frozenset()


def up(exporter_metrics: ExporterMetrics, group: str = "default") -> list[float | None]:
    """Return the values of the metric, IPv4 first."""
    name = "matrix_federation_exporter_ip_family_up"
    return [
        exporter_metrics.registry.get_sample_value(name, {"group": group, "ip_family": family}) for family in IPFamily
    ]


def test_a_missing_family_is_told_once() -> None:
    """And so is its return. Without any family there is an outage, which others tell."""
    exporter_metrics = ExporterMetrics()
    families = OwnFamilies(exporter_metrics)
    told = []
    for seen, values in ((BOTH, [1, 1]), (ONLY_IPV4, [1, 0]), (ONLY_IPV4, [1, 0]), (NONE, [0, 0]), (BOTH, [1, 1])):
        with capture_logs() as logs:
            families.record({"default": seen})
        assert up(exporter_metrics) == values
        told.append([(line["log_level"], line["ip_family"]) for line in logs])
    assert told == [[], [("warning", "ipv6")], [], [], [("info", "ipv6")]]


def test_each_network_has_its_own_families() -> None:
    """One that is gone after a reload has no series."""
    exporter_metrics = ExporterMetrics()
    families = OwnFamilies(exporter_metrics)
    with capture_logs() as logs:
        families.record({"default": BOTH, "closed": ONLY_IPV4})
        families.record({"default": BOTH, "closed": ONLY_IPV4})
    assert (up(exporter_metrics), up(exporter_metrics, "closed")) == ([1, 1], [1, 0])
    assert [(line["group"], line["ip_family"]) for line in logs] == [("closed", "ipv6")]
    families.record({"default": BOTH})
    assert (up(exporter_metrics), up(exporter_metrics, "closed")) == ([1, 1], [None, None])
