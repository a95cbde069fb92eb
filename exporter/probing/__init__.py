"""One probe: discovery, the stages of every endpoint, and the deep look."""
