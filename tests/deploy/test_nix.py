"""The flake of deploy/nix, as Nix evaluates it, with a stand-in for Nixpkgs."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from exporter import DISTRIBUTION
from exporter.cli import parser
from tests.deploy.rules import ROOT
from tests.programs import program
from tests.snippets.collecting import of_kind

pytestmark = pytest.mark.system("nix-instantiate")

FOLDER: Final = ROOT / "deploy" / "nix"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNIT: Final = (ROOT / "deploy" / "systemd" / f"{DISTRIBUTION}.service").read_text()
SETTINGS: Final = {"servers": ["example.org"]}
EXPRESSION: Final = """import {file} {{
  settings = {{ servers = [ "example.org" ]; }};
  extraArgs = [ "--log.format=json" "--workers=2" ];
}}"""


def nix(*arguments: str | Path) -> str:
    """Return what it prints. Nothing is built, so the store does not exist."""
    command = [program("nix-instantiate"), "--store", "dummy://", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def evaluated() -> Any:
    """Everything that the flake defines, with these settings."""
    expression = EXPRESSION.format(file=ROOT / "tests" / "deploy" / "nix" / "evaluate.nix")
    return json.loads(nix("--eval", "--strict", "--json", "--expr", expression))


def test_the_package_is_that_of_pyproject(evaluated: Any) -> None:
    """Name, version, dependencies and build system; for both architectures of the image."""
    package = evaluated["package"]
    names = [re.split("[><=]", requirement)[0] for requirement in PROJECT["dependencies"]]
    assert (package["pname"], package["version"]) == (PROJECT["name"], PROJECT["version"])
    assert (package["dependencies"], package["build-system"]) == (names, ["hatchling"])
    assert package["meta"]["mainProgram"] in PROJECT["scripts"]
    assert package["meta"]["license"] == PROJECT["license"]
    assert (evaluated["description"], evaluated["systems"]) == (
        PROJECT["description"].partition(":")[0],
        ["aarch64-linux", "x86_64-linux"],
    )


def test_the_package_names_files_that_exist(evaluated: Any) -> None:
    """What it installs is among its sources, and what it replaces is in the unit."""
    sources = evaluated["package"]["src"]["fileset"]
    script = evaluated["package"]["postInstall"]
    installed = re.findall(r"deploy/\S+", script)
    assert [path for path in sources if not Path(path).exists()] == []
    assert len(installed) == 5
    assert [path for path in installed if not (ROOT / path).is_file()] == []
    assert [path for path in installed if not any(str(ROOT / path).startswith(source) for source in sources)] == []
    replaced = re.findall(r"--replace-fail (\S+)", script)
    assert replaced == [f"/opt/{DISTRIBUTION}/bin", "/bin/kill"]
    assert [text for text in replaced if text not in UNIT] == []


def test_the_module_puts_files_where_the_unit_reads_them(evaluated: Any) -> None:
    """The configuration, and the options of `serve`, which the exporter understands."""
    files = {f"/etc/{path}": file for path, file in evaluated["config"]["environment"]["etc"].items()}
    (read,) = re.findall("^ConditionPathExists=(.*)$", UNIT, re.MULTILINE)
    (options_file,) = re.findall("^EnvironmentFile=-(.*)$", UNIT, re.MULTILINE)
    assert files[read]["source"]["content"] == SETTINGS
    options = re.fullmatch(r'ARGUMENTS="(.*)"\n', files[options_file]["text"])
    (command,) = re.findall(r"^ExecStart=\S+ (.*) \$ARGUMENTS$", UNIT, re.MULTILINE)
    assert options
    assert parser().parse_args([*command.split(), *options[1].split()]).workers == 2


def test_the_module_starts_the_unit_of_the_package(evaluated: Any) -> None:
    """A change of the settings reloads it."""
    systemd = evaluated["config"]["systemd"]
    assert systemd["packages"] == ["/package"]
    service = systemd["services"][DISTRIBUTION]
    assert service["wantedBy"] == ["multi-user.target"]
    assert [each["content"] for each in service["reloadTriggers"]] == [SETTINGS]
    assert "ExecReload=" in UNIT


def test_options_are_documented(evaluated: Any) -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted([*documented, "enable"]) == evaluated["options"]


def test_the_example_uses_the_flake(evaluated: Any, tmp_path: Path) -> None:
    """Nix understands it, and it sets options that exist."""
    (example,) = of_kind("nix")
    file = tmp_path / "flake.nix"
    file.write_text(example.text)
    assert nix("--parse", file)
    assert set(re.findall(rf"services\.{DISTRIBUTION}\.(\w+)", example.text)) <= set(evaluated["options"])
    assert "exporter.nixosModules.default" in example.text
    assert "?dir=deploy/nix" in example.text
