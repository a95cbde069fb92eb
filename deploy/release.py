"""Builds what a release consists of, in build/release: `python -m deploy.release v1.2.3`.

The version is that of the tag; the sources in the repository keep theirs.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, Self

from exporter import DISTRIBUTION

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "build" / "release"
_SOURCES: Final = ("exporter", "tests", "deploy", "grafana", "docs", "requirements")
_FILES: Final = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "config.example.yaml")
_TAG: Final = re.compile(r"v(\d+\.\d+\.\d+)(?:(a|b|rc)(\d+))?")
_SUMS = "SHA256SUMS"


class ReleaseError(Exception):
    """The tag or the changelog is wrong. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Version:
    number: str
    """Three numbers, such as 1.2.3."""
    stage: str = ""
    """As Python writes it, such as rc1; empty for a final release."""

    @classmethod
    def of_tag(cls, tag: str) -> Self:
        """Raises ReleaseError."""
        match = _TAG.fullmatch(tag)
        if match is None:
            raise ReleaseError(f"{tag!r} is not a tag of a release: use v1.2.3, or v1.2.3rc1 for a candidate")
        return cls(match[1], f"{match[2]}{match[3]}" if match[2] else "")

    def __str__(self) -> str:
        return f"{self.number}{self.stage}"

    @property
    def semantic(self) -> str:
        """As Helm writes it (https://semver.org/)."""
        return f"{self.number}-{self.stage}" if self.stage else self.number


def release_notes(changelog: str, version: Version) -> str:
    """Return the section about the version, or the unreleased one for a candidate. Raises ReleaseError."""
    heading = "## [Unreleased]" if version.stage else f"## [{version}] - "
    sections = re.split(r"^(?=## \[)", changelog, flags=re.MULTILINE)
    found = next((section for section in sections if section.startswith(heading)), None)
    if found is None:
        raise ReleaseError(f"CHANGELOG.md has no section {heading!r} with a date: rename [Unreleased]")
    _, _, notes = found.partition("\n")
    if not notes.strip():
        raise ReleaseError(f"CHANGELOG.md says nothing about {version}")
    return notes.strip() + "\n"


def build(tag: str, target: Path = TARGET) -> None:
    """Write all files of a release into the folder, which is emptied first. Raises ReleaseError."""
    version = Version.of_tag(tag)
    notes = release_notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    shutil.rmtree(target, ignore_errors=True)
    source, files = target / "source", target / "files"
    _copy_sources(source, version)
    files.mkdir()
    (target / "notes.md").write_text(notes, encoding="utf-8")
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(files)], source)
    _write_monitoring(files / f"{DISTRIBUTION}-monitoring-{version}.tar.gz", source)
    chart = str(source / "deploy" / "helm" / DISTRIBUTION)
    semantic = version.semantic
    _run(["helm", "package", chart, "--version", semantic, "--app-version", str(version), "-d", str(files)], source)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(files.iterdir())]
    (files / _SUMS).write_text("".join(sums), encoding="ascii")


def _copy_sources(folder: Path, version: Version) -> None:
    for name in _SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(ROOT / name, folder)
    project = folder / "pyproject.toml"
    text, count = re.subn('^version = ".*"$', f'version = "{version}"', project.read_text(), flags=re.MULTILINE)
    assert count == 1
    project.write_text(text)


def _run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - the programs that this file names


# ---------------------------------------------------------------- rules and dashboards


def _write_monitoring(file: Path, source: Path) -> None:
    """Write the rules and dashboards as an archive that is the same for the same content."""
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in sorted(_monitoring(source).items()):
            entry = tarfile.TarInfo(f"{file.name.removesuffix('.tar.gz')}/{name}")
            entry.size = len(data)
            archive.addfile(entry, BytesIO(data))
    file.write_bytes(gzip.compress(content.getvalue(), mtime=0))


def _monitoring(source: Path) -> Mapping[str, bytes]:
    folders = {
        "rules": (source / "deploy" / "prometheus" / "rules", "*.yml"),
        "dashboards": (source / "grafana" / "dashboards", "*.json"),
    }

    def read() -> Iterator[tuple[str, bytes]]:
        yield "LICENSE", (source / "LICENSE").read_bytes()
        for folder, (path, pattern) in folders.items():
            yield from ((f"{folder}/{each.name}", each.read_bytes()) for each in path.glob(pattern))

    return dict(read())


if __name__ == "__main__":
    try:
        build(sys.argv[1] if sys.argv[1:] else "")
    except ReleaseError as error:
        sys.exit(str(error))
