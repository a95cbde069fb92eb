"""The web configuration file: TLS, users, headers and limits, reloaded when it changes."""
