"""The latest report of every server, and reports as JSON and as text."""
