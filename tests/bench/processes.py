"""Servers to be probed, in a process of their own, so that their work is not taken for the exporter's."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any


@contextmanager
def served_by(module: str, *arguments: str) -> Iterator[Path]:
    """The exporter's configuration for what `module` serves until the end of the block."""
    with Popen([sys.executable, "-m", module, *arguments], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        announced = process.stdout.readline().rstrip()
        if not announced:
            raise SystemExit(f"{module} did not start")
        yield Path(announced)


async def serve_until_end_of_input(configuration: Mapping[str, Any]) -> None:
    """The other side of `served_by`: it ends with whoever started it, however that comes to its end."""
    with TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(json.dumps(configuration))
        sys.stdout.write(f"{file}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
