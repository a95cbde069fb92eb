"""Worker processes that probe, so that the exporter can use several cores.

The schedule, the board and the web server stay in the process that starts the workers.
"""

MAX_WORKERS = 64  # far more than one schedule can keep busy
