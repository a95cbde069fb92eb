"""More cores: processes that probe, and do nothing else. Schedule, board and web stay in the one that starts them."""

MAX_WORKERS = 64  # far more than one schedule can keep busy
