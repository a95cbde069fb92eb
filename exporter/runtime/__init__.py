"""What the process runs on: its event loop, its log, and bounded caches."""
