"""Programs of the operating system that tests need."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of `name`. Where it is missing, CI fails, and elsewhere the test is skipped with a reason."""
    path = shutil.which(name)
    if path is not None:
        return path
    complaint = f"{name} is not installed: `make test` installs it"
    if os.environ.get("CI"):
        pytest.fail(complaint)
    pytest.skip(complaint)
