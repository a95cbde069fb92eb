"""Pure parsers of hostile bytes: JSON bodies, cache headers, key strength."""
