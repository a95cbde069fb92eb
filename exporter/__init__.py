"""Prometheus exporter for the health of Matrix federation."""

from importlib.metadata import version

DISTRIBUTION = "matrix-federation-exporter"
VERSION = version(DISTRIBUTION)
USER_AGENT = f"{DISTRIBUTION}/{VERSION} (+https://github.com/{DISTRIBUTION}/{DISTRIBUTION})"
