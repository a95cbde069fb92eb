"""The facts about Synapse, looked at again, so that they cannot become stale."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.programs import ADMINISTRATORS_FOLDER, program

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 900  # a minute on an idle machine
SAMPLE: Final = 100
SEED: Final = 13


@pytest.mark.soak
@pytest.mark.synapse
@pytest.mark.system("nginx")
@pytest.mark.timeout(SECONDS)
@pytest.mark.usefixtures("namespaces")
def test_synapse_still_does_what_was_observed() -> None:
    """A sample of the federations that count; `make agreement` takes all of them."""
    program(str(ROOT / ".venv-synapse/bin/python"))
    looks = subprocess.run(
        [sys.executable, "-m", "tests.agreement.again", f"--sample={SAMPLE}", f"--seed={SEED}"],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in looks.stdout.splitlines() if line.startswith("FAIL")] == []
    assert f"synapse: {SAMPLE} of {SAMPLE} as observed" in looks.stdout, looks.stderr
