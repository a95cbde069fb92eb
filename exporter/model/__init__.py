"""The nouns: names, routes, outcomes, findings, the report. Frozen, and free of any library."""
