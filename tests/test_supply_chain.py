"""What is installed is what was chosen: few packages, each with a reason, each pinned by hash, all of them listed."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions, version
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.subprocess

ROOT: Final = Path(__file__).parents[1]
REQUIREMENTS: Final = sorted((ROOT / "requirements").glob("*.txt"))
REASONS: Final = (ROOT / "docs" / "dependencies.md").read_text()


class Pin(NamedTuple):
    requirement: Requirement
    hashes: list[str]


def pins(file: Path) -> list[Pin]:
    lines = file.read_text().replace("\\\n", " ").splitlines()
    return [
        Pin(Requirement(line.split(" --hash")[0]), re.findall("--hash=sha256:([0-9a-f]{64})", line)) for line in lines
    ]


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT: Final = names(PROJECT["project"]["dependencies"])
OF_RUN: Final = pins(ROOT / "requirements" / "run.txt")


def test_every_dependency_has_its_reason() -> None:
    """In the table, and nothing stands there that is no dependency any more."""
    rows = re.findall(r"^\| ([a-z][^|]*) \| (\S[^|]*) \|$", REASONS, re.MULTILINE)
    assert {name for row, _ in rows if row != "package" for name in row.split(", ")} == DIRECT


def test_nothing_else_is_brought_along() -> None:
    """A release that wants one more package is noticed."""
    (brought,) = re.findall(r"^They depend on (.*) install the exporter itself", REASONS, re.MULTILINE | re.DOTALL)
    indirect = re.split(r",\s+(?:and\s+)?|;\s+", brought)
    assert {pin.requirement.name for pin in OF_RUN} == DIRECT | set(indirect)


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.stem)
def test_pinned_by_hash(file: Path) -> None:
    """One version of each package, and nothing but what was seen when it was chosen; no other index, no URL."""
    assert pins(file)
    for pin in pins(file):
        (only,) = pin.requirement.specifier
        assert (only.operator, "*" in only.version, pin.requirement.url, bool(pin.hashes)) == ("==", False, None, True)


def test_tested_with_what_is_installed() -> None:
    """These tests run with the very versions that run.txt pins."""
    wanted = [pin.requirement for pin in OF_RUN if not pin.requirement.marker or pin.requirement.marker.evaluate()]
    assert {each.name: version(each.name) for each in wanted} == {each.name: pinned(each) for each in wanted}


def pinned(requirement: Requirement) -> str:
    return next(iter(requirement.specifier)).version


@pytest.mark.parametrize("environment", ["test", "supply", "synapse"])
def test_pinned_with_extras(environment: str) -> None:
    """What is asked for with an extra is pinned with it: else pip takes the newest version, with no hash."""
    pinned_with = {
        pin.requirement.name: pin.requirement.extras for pin in pins(ROOT / "requirements" / f"{environment}.txt")
    }
    site_packages = map(str, (ROOT / f".venv-{environment}").glob("lib/python*/site-packages"))
    wanted = [
        requirement
        for installed in distributions(path=list(site_packages))
        for requirement in with_extras(installed, pinned_with.get(canonicalize_name(installed.name), set()))
    ]
    assert wanted
    assert [str(each) for each in wanted if not each.extras <= pinned_with[canonicalize_name(each.name)]] == []


def with_extras(installed: Distribution, its_own: set[str]) -> Iterator[Requirement]:
    """What it asks for, being installed with extras of its own."""
    for requirement in map(Requirement, installed.requires or ()):
        marker = requirement.marker
        if requirement.extras and (not marker or any(marker.evaluate({"extra": own}) for own in {"", *its_own})):
            yield requirement


@pytest.fixture(scope="module")
def bill() -> Any:
    """Of materials; `make sbom` also holds it against the schema of CycloneDX."""
    subprocess.run(["make", "--silent", "sbom"], cwd=ROOT, check=True)
    return json.loads((ROOT / "build" / "sbom.cdx.json").read_text())


def test_bill_is_of_the_exporter(bill: Any) -> None:
    """In the format that tools read."""
    described = bill["metadata"]["component"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert (described["name"], described["version"]) == (PROJECT["project"]["name"], PROJECT["project"]["version"])


def test_bill_lists_every_package(bill: Any) -> None:
    """With its version, its hashes, and the name by which advisories know it."""
    listed = {
        part["purl"]: sorted(each["content"] for source in part["externalReferences"] for each in source["hashes"])
        for part in bill["components"]
    }
    packages = {f"pkg:pypi/{pin.requirement.name}@{pinned(pin.requirement)}": sorted(pin.hashes) for pin in OF_RUN}
    assert listed == packages


def test_audit_that_cannot_ask_says_so() -> None:
    """It ends soon, with a sentence; nothing listens at the discard port."""
    nowhere = {**os.environ, "https_proxy": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
    audit = subprocess.run(
        ["make", "--silent", "audit"], cwd=ROOT, env=nowhere, capture_output=True, text=True, check=False
    )
    assert audit.returncode == 2
    assert "or the advisories could not be downloaded" in audit.stderr


def test_threat_model_points_at_what_is_there() -> None:
    """Code and tests, by their paths."""
    links = re.findall(r"\]\((?!https)([^)]+)\)", (ROOT / "SECURITY.md").read_text())
    assert len(links) > 30
    assert [link for link in links if not (ROOT / link).exists()] == []


PARTS: Final = ROOT / "tests" / "grafana" / "browser"


def test_packages_from_npm_are_pinned_by_hash() -> None:
    """All of them by the hash of what was seen when they were chosen, and from no particular registry."""
    packages = json.loads((PARTS / "package-lock.json").read_text())["packages"]
    pinned = {name: package for name, package in packages.items() if name}
    assert [name for name, package in pinned.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in pinned.items() if "resolved" in package] == []


def test_every_package_from_npm_has_its_reason() -> None:
    chosen = json.loads((PARTS / "package.json").read_text())["devDependencies"]
    assert [name for name in chosen if f"`{name}`" not in REASONS] == []
    assert [version for version in chosen.values() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
