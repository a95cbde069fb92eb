"""The HTTP API: `/probe` and the reports."""
