"""What a finished report means: verdicts, warnings and remedies. Pure."""
