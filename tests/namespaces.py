"""Commands in a network namespace of their own, which has nothing but what they set up. It takes root, and Linux."""

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.programs import ADMINISTRATORS_FOLDER, program

_ROOT: Final = Path(__file__).parents[1]
CABLE: Final = ("link add left type veth peer name right", "link set left up", "link set right up")
"""A network of two interfaces that are connected to each other."""
IPV4: Final = (*CABLE, "addr add 198.51.100.2/24 dev left", "route add default via 198.51.100.1")
IPV6: Final = (*CABLE, "addr add 2001:db9::2/64 dev left nodad", "-6 route add default via 2001:db9::1")


def run_python(code: str, setup: Sequence[str] = ()) -> str:
    """Run Python code after some commands of `ip`, and return what it prints."""
    if not _are_available():
        pytest.skip("it takes root to make namespaces, and a container must be privileged")
    commands = [f"{program('ip')} {command}" for command in ("link set lo up", *setup)]
    script = " && ".join([*commands, 'exec "$0" -c "$1"'])
    finished = subprocess.run(
        [program("unshare"), "--net", "sh", "-c", script, sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PATH": f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@cache
def _are_available() -> bool:
    command = [program("unshare"), "--net", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
