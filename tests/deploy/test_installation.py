"""The exporter, installed from each of its packages into an environment that has nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from exporter import DISTRIBUTION, VERSION
from tests.deploy.demos import assert_demo_probes
from tests.deploy.rules import ROOT
from tests.programs import program
from tests.snippets.collecting import SNIPPETS

pytestmark = pytest.mark.subprocess

SOURCES: Final = ("exporter", "requirements", "Makefile", "pyproject.toml", "README.md", "LICENSE")
PYTHON_FOLDER: Final = Path(sys.executable).parent


OUTSIDE: Final = {
    **{name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    "PATH": f"{PYTHON_FOLDER}:{os.environ['PATH']}",
}
"""The environment, with the Python of the tests, and without the variables of `make test`."""


def run(command: list[str], folder: Path, **environment: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={**OUTSIDE, **environment})


def version_of(command: Path) -> str:
    return subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout


async def assert_works(command: Path, tmp_path: Path) -> None:
    """By the name that the package gives to the command."""
    assert version_of(command) == f"{DISTRIBUTION} {VERSION}\n"
    await assert_demo_probes([str(command)], tmp_path / "log", {"PATH": os.environ["PATH"]})


# ---------------------------------------------------------------- sources


def installation(page: str) -> list[str]:
    """Return the commands with which an installation begins."""
    commands = next(each.commands for each in SNIPPETS if each.page == page and "pip install" in each.text)
    return [command for command in commands if DISTRIBUTION not in command]


def test_the_tutorial_installs_as_the_readme_does() -> None:
    assert installation("docs/tutorials/own-server.md") == [*installation("README.md"), ". venv/bin/activate"]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


async def test_the_commands_of_the_readme(sources: Path, tmp_path: Path) -> None:
    """They begin with the sources and a Python."""
    run(["sh", "-ec", "\n".join(installation("README.md"))], sources)
    await assert_works(sources / "venv" / "bin" / DISTRIBUTION, tmp_path)


async def test_make_demo(sources: Path, tmp_path: Path) -> None:
    """It begins with the same, and creates an environment."""
    make = [program("make"), f"--directory={sources}"]
    run([*make, ".venv/installed"], sources)
    await assert_demo_probes(make, tmp_path / "log", OUTSIDE)


# ---------------------------------------------------------------- packages


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both of them, and with what uv has downloaded for them."""
    folder = tmp_path_factory.mktemp("packages")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)], ROOT)
    return folder


def package(packages: Path, suffix: str) -> str:
    (file,) = packages.glob(f"*{suffix}")
    return str(file)


def uv(packages: Path, folder: Path, *arguments: str) -> None:
    """Run it in the folder, with the Python of the tests."""
    run(
        [program(str(PYTHON_FOLDER / "uv")), *arguments],
        folder,
        UV_CACHE_DIR=str(packages / "cache"),
        UV_PYTHON=sys.executable,
        UV_SYSTEM_CERTS="true",
        UV_TOOL_BIN_DIR=str(folder / "bin"),
        UV_TOOL_DIR=str(folder / "tools"),
    )


LOCKED: Final = ("--constraints", str(ROOT / "requirements" / "run.txt"))


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
async def test_a_package_in_a_virtual_environment(suffix: str, packages: Path, tmp_path: Path) -> None:
    """A source distribution is built by uv, with the build system that it names."""
    uv(packages, tmp_path, "venv", "venv")
    uv(packages, tmp_path, "pip", "install", "--python", "venv", *LOCKED, package(packages, suffix))
    await assert_works(tmp_path / "venv" / "bin" / DISTRIBUTION, tmp_path)


async def test_a_package_as_a_tool(packages: Path, tmp_path: Path) -> None:
    """As `uv tool install` does it with the package of PyPI."""
    uv(packages, tmp_path, "tool", "install", *LOCKED, package(packages, ".whl"))
    await assert_works(tmp_path / "bin" / DISTRIBUTION, tmp_path)
