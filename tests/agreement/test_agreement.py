"""Real homeservers, and what the exporter says about the same federations.

The folder `kit` serves them all, and holds what the homeservers did with each of them; its README.md says how.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.programs import ADMINISTRATORS_FOLDER

ROOT: Final = Path(__file__).parents[2]
KIT: Final = Path(__file__).with_name("kit") / "run_agreement.py"
SECONDS: Final = 600  # a minute on an idle machine


@pytest.mark.soak
@pytest.mark.system("nginx")
@pytest.mark.timeout(SECONDS)
@pytest.mark.usefixtures("namespaces")
def test_the_exporter_agrees_with_homeservers() -> None:
    """Every federation that counts agrees, for the verdict and for each implementation."""
    exporter = f"env PYTHONPATH={ROOT} {sys.executable} -m exporter"
    kit = subprocess.run(
        [sys.executable, KIT],
        env={**os.environ, "EXPORTER": exporter, "PATH": f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}"},
        capture_output=True,
        text=True,
        check=False,
    )
    disagreements = [line for line in kit.stdout.splitlines() if line.startswith("FAIL")]
    assert disagreements == []
    assert kit.returncode == 0, kit.stderr
