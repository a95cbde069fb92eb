"""Pure readers of hostile bytes: JSON bodies, cache headers, key strength."""
