"""Programs of the operating system that tests need."""

import os
import shutil

import pytest

ADMINISTRATORS_FOLDER = "/usr/sbin"  # where Debian puts servers, and not on everybody's path


def program(name: str) -> str:
    """The path of `name`. Where it is missing, CI fails, and elsewhere the test is skipped with a reason."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}")
    if path is not None:
        return path
    complaint = f"{name} is not installed: `make test` installs it"
    if os.environ.get("CI"):
        pytest.fail(complaint)
    pytest.skip(complaint)
