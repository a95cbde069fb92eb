"""The other direction: whether the watched servers can connect to the exporter, which has a name in the federation."""
