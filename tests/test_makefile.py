"""What `make` says where it cannot work."""

import os
import sys
from pathlib import Path
from subprocess import run

from tests.programs import program

MAKEFILE = Path(__file__).parents[1] / "Makefile"
OLD_PYTHON = f"""#!/bin/sh
exec {sys.executable} -c 'import sys; sys.version_info = (3, 10); exec(sys.argv[1])' "$2"
"""


def test_says_which_python_is_needed(tmp_path: Path) -> None:
    """Before it creates an environment in which nothing could be installed."""
    python = tmp_path / "python3.10"
    python.write_text(OLD_PYTHON)
    python.chmod(0o700)
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/run.txt", "requirements/synapse.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    command = [program("make"), "--file", str(MAKEFILE), "demo-synapse", f"PYTHON={python}"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of `make test`
    ended = run(command, cwd=tmp_path, env=outside, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[0] == "Python 3.11 or newer is needed: make PYTHON=python3.11"
    assert not (tmp_path / ".venv").exists()
