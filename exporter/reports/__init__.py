"""The latest report and the history of every server, and reports as JSON and as text."""
