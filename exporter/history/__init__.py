"""What happened to the watched servers: incidents, changes and results, and what is remembered over restarts."""
