"""Writes the dashboards: `make docs`."""

import json
from collections.abc import Callable
from pathlib import Path

from grafana.certificates import certificates
from grafana.dashboard import Dashboard
from grafana.exporters import exporter_itself
from grafana.overview import overview
from grafana.server import server

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS: dict[str, Callable[[], Dashboard]] = {
    "overview.json": overview,
    "server.json": server,
    "certificates.json": certificates,
    "exporter.json": exporter_itself,
}


def written(dashboard: Dashboard) -> str:
    """Always the same text for the same dashboard."""
    return json.dumps(dashboard.json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / name).write_text(written(dashboard()), encoding="utf-8")
