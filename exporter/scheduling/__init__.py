"""When each server is probed, by whom, and whether the exporter itself is offline."""
