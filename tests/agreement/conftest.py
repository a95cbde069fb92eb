"""What the federations of the kit need of this machine."""

import subprocess

import pytest

from tests.programs import program


@pytest.fixture
def namespaces() -> None:
    """Skip the test where they cannot be made."""
    for needed in ("ip", "mount", "nginx"):
        program(needed)
    if subprocess.run([program("unshare"), "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("it takes root to make namespaces, and a container must be privileged")
