"""The metrics on `/metrics`: the families of each server, and those of the exporter itself."""
