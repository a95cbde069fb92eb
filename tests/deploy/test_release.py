"""The release: what is built from a tag, and the workflow that publishes it."""

import hashlib
import re
import shutil
import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.release import ReleaseError, Version, build, release_notes
from tests.deploy.rules import ROOT, RULE_FILES
from tests.programs import program

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERSION = "9.8.7rc1"
CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Something new.

## [1.2.3] - 2026-12-01

- The third.

## [1.2.2] - 2026-11-01

- The second.

## [1.2.1] - 2026-10-01
"""


@pytest.mark.parametrize(
    ("tag", "version", "semantic"),
    [("v1.2.3", "1.2.3", "1.2.3"), ("v1.20.0rc2", "1.20.0rc2", "1.20.0-rc2"), ("v1.0.0a1", "1.0.0a1", "1.0.0-a1")],
)
def test_the_version_is_that_of_the_tag(tag: str, version: str, semantic: str) -> None:
    found = Version.of_tag(tag)
    assert (str(found), found.semantic) == (version, semantic)


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3-rc1", "v1.2.3.4", "vNext", "v1.2.3 ", ""])
def test_any_other_tag_is_refused(tag: str) -> None:
    with pytest.raises(ReleaseError, match=r"use v1\.2\.3"):
        Version.of_tag(tag)


@pytest.mark.parametrize(
    ("tag", "notes"),
    [("v1.2.3", "- The third.\n"), ("v1.2.2", "- The second.\n"), ("v1.3.0rc1", "### Added\n\n- Something new.\n")],
)
def test_the_notes_are_the_section_of_the_changelog(tag: str, notes: str) -> None:
    """A candidate has what is not released yet."""
    assert release_notes(CHANGELOG, Version.of_tag(tag)) == notes


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [("v1.2.4", "has no section '## \\[1.2.4\\] - ' with a date"), ("v1.2.1", "says nothing about 1.2.1")],
)
def test_a_release_without_notes_is_refused(tag: str, complaint: str) -> None:
    with pytest.raises(ReleaseError, match=complaint):
        release_notes(CHANGELOG, Version.of_tag(tag))


# ---------------------------------------------------------------- what is built


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program("helm")
    folder = tmp_path_factory.mktemp("release")
    build(f"v{VERSION}", folder)
    return folder


def file_of(release: Path, pattern: str) -> Path:
    (file,) = (release / "files").glob(pattern)
    return file


@pytest.mark.subprocess
@pytest.mark.system("helm")
class TestFiles:
    """The folder that the workflow publishes."""

    def test_packages_have_the_version_of_the_tag(self, release: Path) -> None:
        """So has the source distribution, from which others build."""
        with zipfile.ZipFile(file_of(release, "*.whl")) as wheel:
            (metadata,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
            assert message_from_bytes(wheel.read(metadata))["Version"] == VERSION
        with tarfile.open(file_of(release, "matrix_federation_exporter-*.tar.gz")) as source:
            names = source.getnames()
        assert f"matrix_federation_exporter-{VERSION}/deploy/man/matrix-federation-exporter.1" in names
        assert f'version = "{VERSION}"' not in (ROOT / "pyproject.toml").read_text()

    def test_the_chart_has_the_version_of_the_tag(self, release: Path) -> None:
        """Helm wants a hyphen before rc1; the image has none."""
        shown = subprocess.run(
            [program("helm"), "show", "chart", file_of(release, "*.tgz")], capture_output=True, text=True, check=True
        )
        chart = yaml.safe_load(shown.stdout)
        assert (chart["version"], chart["appVersion"]) == ("9.8.7-rc1", VERSION)

    def test_rules_and_dashboards_are_one_archive(self, release: Path, tmp_path: Path) -> None:
        """In one folder, and with the license."""
        with tarfile.open(file_of(release, "*-monitoring-*.tar.gz")) as archive:
            archive.extractall(tmp_path, filter="data")
        (folder,) = tmp_path.iterdir()
        assert folder.name == f"matrix-federation-exporter-monitoring-{VERSION}"
        assert {file.name for file in folder.glob("rules/*")} == {file.name for file in RULE_FILES}
        assert len(list(folder.glob("dashboards/*.json"))) >= 4
        assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()

    def test_every_file_has_a_checksum(self, release: Path) -> None:
        """As sha256sum --check reads them."""
        files = {file.name: file.read_bytes() for file in (release / "files").iterdir()}
        sums = files.pop("SHA256SUMS").decode()
        assert dict(line.split("  ")[::-1] for line in sums.splitlines()) == {
            name: hashlib.sha256(content).hexdigest() for name, content in files.items()
        }
        assert len(files) == 4

    def test_the_notes_are_there(self, release: Path) -> None:
        assert (release / "notes.md").read_text().startswith("### Added\n")

    def test_the_image_can_be_built_from_the_sources(self, release: Path) -> None:
        """Everything that the Dockerfile copies is there, with the version of the tag."""
        source = release / "source"
        copied = re.findall(
            r"^COPY (?!--from)(.*) \S+$", (source / "deploy/docker/Dockerfile").read_text(), re.MULTILINE
        )
        paths = [path for line in copied for path in line.split()]
        assert len(paths) > 4
        assert [path for path in paths if not (source / path).exists()] == []
        assert f'version = "{VERSION}"' in (source / "pyproject.toml").read_text()

    def test_the_debian_package_can_be_built_from_the_sources(self, release: Path) -> None:
        """Everything that its program copies is there."""
        source = release / "source"
        (copied,) = re.findall(
            r"^cp -R (.*?) \"\$target", (source / "deploy/debian/build").read_text(), re.DOTALL | re.MULTILINE
        )
        paths = copied.replace("\\\n", " ").split()
        assert len(paths) > 8
        assert [path for path in paths if not (source / path).exists()] == []


# ---------------------------------------------------------------- the workflows


def workflow(file: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(file.read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_its_digest(file: Path) -> None:
    """With its version beside it, which Dependabot updates too."""
    used = re.findall(r"uses: (\S+)(.*)", file.read_text())
    foreign = [(action, comment) for action, comment in used if not action.startswith("./")]
    assert foreign
    assert [each for each in foreign if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", "".join(each))] == []


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_jobs_may_do_no_more_than_they_need(file: Path) -> None:
    """The permissions of a workflow are to read; a job that publishes has those that it needs."""
    assert workflow(file)["permissions"] == {"contents": "read"}
    permissions = [job["permissions"] for job in workflow(file)["jobs"].values() if "permissions" in job]
    assert all(set(each) <= {"contents", "packages", "pages", "id-token"} and len(each) <= 2 for each in permissions)


def test_nothing_is_published_before_the_tests_passed() -> None:
    """Nor is there a release before everything is published."""
    jobs = workflow(ROOT / ".github/workflows/release.yml")["jobs"]
    assert jobs["build"]["needs"] == "test"
    assert {name: job["needs"] for name, job in jobs.items() if name.startswith(("image", "publish"))} == {
        "image": "build",
        "publish-image": "image",
        "publish-chart": "build",
        "publish-python": "build",
    }
    assert jobs["release"]["needs"] == ["debian", *(name for name in jobs if name.startswith("publish"))]
    assert jobs["debian"]["needs"] == "build"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_shells_understand_every_step(file: Path) -> None:
    """As a syntax check does, which runs nothing. What GitHub fills in is never part of a script: it is a variable."""
    scripts = [step["run"] for job in workflow(file)["jobs"].values() for step in job.get("steps", ()) if "run" in step]
    bash = shutil.which("bash")
    assert bash
    for script in scripts:
        assert "${{" not in script
        assert subprocess.run([bash, "-n", "-c", script], capture_output=True, text=True, check=False).stderr == ""
    assert scripts
