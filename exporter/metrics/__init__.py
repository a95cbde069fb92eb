"""What `/metrics` shows: the families of each server, and those of the exporter itself."""
