"""What a finished report means: verdicts and warnings. Pure."""
