"""When each server is probed, that its probes do not overlap, and whether the exporter's own network is down."""
