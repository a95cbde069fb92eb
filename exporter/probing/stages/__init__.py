"""The stages of a probe: in each file an asynchronous look, and a pure reading of what it brought back."""
