"""The HTTP API: `/probe`, and the reports under `/api`."""
