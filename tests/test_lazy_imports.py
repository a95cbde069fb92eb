"""What a command imports: only what it needs, so that the light ones start quickly."""

import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

from exporter import DISTRIBUTION, VERSION

pytestmark = pytest.mark.subprocess

ROOT: Final = Path(__file__).parent.parent
ENTRY_POINTS: Final = (
    pytest.param(("-m", "exporter"), id="python -m exporter"),
    pytest.param(("-c", "import sys; from exporter.cli import main; sys.exit(main())"), id="console script"),
)
EXPENSIVE_STANDARD_MODULES: Final = {"asyncio", "ssl"}
TO_READ_A_CONFIGURATION: Final = {"pydantic", "yaml", "ssl"}  # ssl checks CA files


@cache
def expensive_modules() -> frozenset[str]:
    """Return the top-level modules of the exporter's dependencies and the costly ones of the standard library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dependencies = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    provided = {
        module
        for module, distributions in packages_distributions().items()
        if not module.startswith("_") and dependencies & {name.lower().replace("_", "-") for name in distributions}
    }
    assert len(provided) >= len(dependencies)
    return frozenset(provided | EXPENSIVE_STANDARD_MODULES)


def imports_of(*arguments: str) -> set[str]:
    """Run Python in the repository's root; return the expensive modules that it imported."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 20
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines} & expensive_modules()


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("serve", "--help"),
        ("check", "--help"),
        ("check-config", "--help"),
        ("check-web-config", "--help"),
        ("demo", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_version_import_no_library(entry_point: tuple[str, ...], arguments: tuple[str, ...]) -> None:
    assert imports_of(*entry_point, *arguments) == set()


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_check_config_imports_only_what_reads_a_configuration(entry_point: tuple[str, ...], tmp_path: Path) -> None:
    """The server files that the configuration names are read with the same libraries."""
    file = tmp_path / "config.yaml"
    file.write_text("servers: [example.org]\nserver_files: [more.json]\n")
    (tmp_path / "more.json").write_text('[{"targets": ["example.net"]}]')
    assert imports_of(*entry_point, "check-config", str(file)) == TO_READ_A_CONFIGURATION


def test_check_web_config_adds_what_checks_certificates_and_passwords(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("rate_limit: {interval: 1s}\n")
    found = imports_of("-m", "exporter", "check-web-config", str(file))
    assert found == {*TO_READ_A_CONFIGURATION, "asyncio", "bcrypt", "cryptography"}


def test_entry_points_are_those_of_the_package() -> None:
    """The console script calls `main` in `exporter.cli`, and both entry points report the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {DISTRIBUTION: "exporter.cli:main"}
    assert project["version"] == VERSION
