"""The web configuration file: TLS, passwords, headers and a rate limit. It is reloaded when it changes."""
