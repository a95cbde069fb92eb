"""The embedded federation that `demo` runs the exporter against; the tests build their servers from the same parts."""
