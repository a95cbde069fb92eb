"""What every process of the exporter uses: the event loop, the log, bounded caches and rate limits."""
