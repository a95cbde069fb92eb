"""The nouns: names, routes, outcomes, findings, the report. Every class is frozen; no module imports a library."""
