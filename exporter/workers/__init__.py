"""More cores: processes that probe, and do nothing else. Schedule, board and web stay in the one that starts them."""
