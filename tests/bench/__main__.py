"""`python -m tests.bench [NAME...]`: each in a process of its own, so that none inherits the memory of another.

`BENCH=quick` shortens them.
"""

import subprocess
import sys

BENCHMARKS = ("cost", "dns", "scale", "schedule", "truth")

for name in sys.argv[1:] or BENCHMARKS:
    subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=True)
