"""Synapse and the exporter agree on federations that nobody thought of."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.agreement.fuzz.found import FOUND
from tests.programs import ADMINISTRATORS_FOLDER, program

ROOT: Final = Path(__file__).parents[3]
SECONDS: Final = 900  # a minute on an idle machine
COUNT: Final = 30
SEED: Final = 13


@pytest.mark.soak
@pytest.mark.synapse
@pytest.mark.timeout(SECONDS)
@pytest.mark.usefixtures("namespaces")
def test_the_exporter_agrees_with_synapse() -> None:
    """Random federations, and all with which it once disagreed; `make fuzz-federations` makes others."""
    program(str(ROOT / ".venv-synapse/bin/python"))
    fuzzing = subprocess.run(
        [sys.executable, "-m", "tests.agreement.fuzz", f"--count={COUNT}", f"--seed={SEED}"],
        env={
            **os.environ,
            "EXPORTER": f"env PYTHONPATH={ROOT} {sys.executable} -m exporter",
            "PATH": f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    total = COUNT + len(FOUND)
    assert [line for line in fuzzing.stdout.splitlines() if line.startswith("FAIL")] == []
    assert f"{total} of {total} agree;" in fuzzing.stdout, fuzzing.stderr
