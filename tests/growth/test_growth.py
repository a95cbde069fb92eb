"""Memory does not grow with the number of different documents that the exporter has seen, on any supported Python."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.waiting import PATIENCE

pytestmark = pytest.mark.subprocess

ROOT: Final = Path(__file__).parents[2]
CI: Final = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
SUPPORTED: Final[tuple[str, ...]] = tuple(CI["jobs"]["test"]["strategy"]["matrix"]["python"])
MAX_BYTES: Final = 1 << 20  # the allocator's noise: the documents have more than three times as much in all
MAX_OBJECTS_OF_A_DOCUMENT: Final = 0.8  # what is kept of each is at least one; caches that fill up keep a few hundred


def interpreter(version: str) -> Path:
    """Return a Python that has the exporter's packages, or skip the test."""
    if version == "{}.{}".format(*sys.version_info):
        return Path(sys.executable)
    python = ROOT / ".venv-pythons" / version / "bin/python"
    if not python.exists():
        pytest.skip(f"Python {version} is not installed: `make test` uses it if it finds it")
    return python


@pytest.mark.parametrize("version", SUPPORTED)
def test_memory_does_not_grow_with_the_number_of_documents(version: str) -> None:
    """Whole probes of servers, and parsers of lists and of answers, meet texts that are new every time."""
    command = [str(interpreter(version)), "-m", "tests.growth.documents"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=PATIENCE)
    grown = json.loads(done.stdout)
    assert grown["bytes"] < MAX_BYTES, grown
    assert grown["objects"] < MAX_OBJECTS_OF_A_DOCUMENT * grown["documents"], grown


def test_ci_includes_a_python_that_never_frees_interned_texts() -> None:
    """Python 3.12 is the first."""
    assert {"3.11", "3.12"} <= set(SUPPORTED)
