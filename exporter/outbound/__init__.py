"""The other direction: whether the watched servers reach this exporter, which takes part in the federation for that."""
