"""Three real homeservers, to break and to repair, and the exporter beside them."""
