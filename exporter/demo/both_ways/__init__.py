"""Homeservers that connect to others, and what may keep them from it."""
