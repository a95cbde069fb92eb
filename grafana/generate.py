"""Write the dashboards: `make docs`."""

import json
from pathlib import Path

from exporter.metrics.rules.values import Values, defaults
from grafana.certificates import certificates_dashboard
from grafana.dashboard import Dashboard
from grafana.exporters import exporters_dashboard
from grafana.overview import overview_dashboard
from grafana.server import server_dashboard
from grafana.thresholds import read_thresholds

DASHBOARDS_FOLDER = Path(__file__).parent / "dashboards"


def build_dashboards(values: Values | None = None) -> dict[str, Dashboard]:
    """Return the dashboards by file name, with the thresholds of the alerts."""
    thresholds = read_thresholds(values or defaults())
    return {
        "overview.json": overview_dashboard(thresholds),
        "server.json": server_dashboard(thresholds),
        "certificates.json": certificates_dashboard(thresholds),
        "exporter.json": exporters_dashboard(),
    }


def render(dashboard: Dashboard) -> str:
    """Return the dashboard's file. Equal dashboards have equal files."""
    return json.dumps(dashboard.json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, dashboard in build_dashboards().items():
        (DASHBOARDS_FOLDER / name).write_text(render(dashboard), encoding="utf-8")
