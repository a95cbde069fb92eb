"""The Debian package, built here, and installed in a Debian that has nothing but what it depends on."""

import os
import re
import shlex
from pathlib import Path
from subprocess import STDOUT, check_output

import pytest

from exporter import DISTRIBUTION, VERSION
from tests.deploy.demos import assert_demo_probes
from tests.deploy.rules import ROOT
from tests.programs import program

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.timeout(1800.0),  # on a busy machine
    pytest.mark.system("mmdebstrap"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can install packages"),
]

SOURCES = [str(path) for path in [Path("/etc/apt/sources.list.d/debian.sources")] if path.exists()]
"""Where packages come from, instead of Debian's own servers."""
LIBRARIES = f"usr/lib/{DISTRIBUTION}/lib/"


QUICKLY = {**os.environ, "DPKG_DEB_COMPRESSOR_LEVEL": "1"}


def output(*command: str | Path) -> str:
    return check_output(command, text=True, stderr=STDOUT, env=QUICKLY)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("dh", "dpkg-buildpackage", "/usr/bin/python3.11"):
        program(name)
    folder = tmp_path_factory.mktemp("deb")
    output(ROOT / "deploy/debian/build", folder)
    (file,) = folder.glob("*.deb")
    return file


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Debian in which the package is installed: dpkg checks the versions of what it depends on."""
    root = tmp_path_factory.mktemp("debian") / "root"
    needed = re.findall(r"(?:^|, )([\w.-]+)", output("dpkg-deb", "--field", package, "Depends"))
    output(
        program("mmdebstrap"),
        "--variant=minbase",
        f"--include={','.join(needed)}",
        f"--customize-hook=copy-in {shlex.quote(str(package))} /tmp",
        f'--customize-hook=chroot "$1" dpkg --install /tmp/{package.name}',
        "bookworm",
        root,
        *SOURCES,
    )
    return root


def inside(root: Path) -> list[str]:
    """Return the beginning of a command that runs in the folder, with the processes of this machine in /proc."""
    script = 'mount --bind /proc "$0/proc" && exec chroot "$0" "$@"'
    return [program("unshare"), "--mount", "sh", "-c", script, str(root)]


def contents(package: Path) -> set[str]:
    """Return the paths of the files, without those of the libraries."""
    lines = output("dpkg-deb", "--contents", package).splitlines()
    paths = (line.split()[5] for line in lines if not line.startswith("d"))
    return {path.removeprefix("./") for path in paths if not path.startswith(f"./{LIBRARIES}")}


def test_files_are_where_debian_has_them(package: Path) -> None:
    """The rules and dashboards, of which there are many, are left out."""
    shared = f"usr/share/{DISTRIBUTION}/"
    files = contents(package)
    assert {path.split("/")[3] for path in files if path.startswith(shared)} == {"rules", "dashboards"}
    assert {path for path in files if not path.startswith(shared)} == {
        f"etc/default/{DISTRIBUTION}",
        f"lib/systemd/system/{DISTRIBUTION}.service",
        f"lib/systemd/system/{DISTRIBUTION}.socket",
        f"usr/bin/{DISTRIBUTION}",
        f"usr/lib/{DISTRIBUTION}/pyvenv.cfg",
        *(f"usr/lib/{DISTRIBUTION}/bin/{name}" for name in (DISTRIBUTION, "python", "python3", "python3.11")),
        f"usr/share/bash-completion/completions/{DISTRIBUTION}",
        *(f"usr/share/doc/{DISTRIBUTION}/{name}" for name in ("changelog.gz", "changelog.Debian.gz", "copyright")),
        f"usr/share/doc/{DISTRIBUTION}/examples/config.example.yaml",
        f"usr/share/fish/vendor_completions.d/{DISTRIBUTION}.fish",
        f"usr/share/lintian/overrides/{DISTRIBUTION}",
        f"usr/share/man/man1/{DISTRIBUTION}.1.gz",
        f"usr/share/zsh/vendor-completions/_{DISTRIBUTION}",
    }
    assert output("dpkg-deb", "--info", package, "conffiles") == f"/etc/default/{DISTRIBUTION}\n"


def test_the_package_has_the_version_of_the_exporter(package: Path) -> None:
    assert output("dpkg-deb", "--field", package, "Version").startswith(f"{VERSION}-1+debian12")


def test_the_service_runs_the_installed_command(debian: Path) -> None:
    """It is enabled, and waits for the configuration, for which there is a folder. The socket is not enabled."""
    unit = (debian / f"lib/systemd/system/{DISTRIBUTION}.service").read_text()
    assert "/opt/" not in unit
    assert f"\nExecStart=/usr/bin/{DISTRIBUTION} serve --config /etc/{DISTRIBUTION}/config.yaml $ARGUMENTS\n" in unit
    assert list((debian / "etc" / DISTRIBUTION).iterdir()) == []
    enabled = (debian / "etc/systemd/system").rglob(f"{DISTRIBUTION}.*")
    assert [path.relative_to(debian).as_posix() for path in enabled] == [
        f"etc/systemd/system/multi-user.target.wants/{DISTRIBUTION}.service"
    ]


async def test_the_demo_runs(debian: Path, tmp_path: Path) -> None:
    """With the Python of Debian."""
    assert output(*inside(debian), DISTRIBUTION, "--version") == f"{DISTRIBUTION} {VERSION}\n"
    await assert_demo_probes([*inside(debian), DISTRIBUTION], tmp_path / "log", {"PATH": "/usr/sbin:/usr/bin:/bin"})


@pytest.fixture
def purged(debian: Path, tmp_path: Path) -> Path:
    """A copy in which an administrator has written a configuration, and has removed the package later."""
    copy = tmp_path / "root"
    output("cp", "--archive", "--link", debian, copy)
    (copy / "etc" / DISTRIBUTION / "config.yaml").write_text("servers: [example.org]\n")
    (copy / "var/lib/private" / DISTRIBUTION).mkdir(parents=True)
    output(*inside(copy), "dpkg", "--purge", DISTRIBUTION)
    return copy


def test_nothing_is_left_but_the_configuration(purged: Path) -> None:
    left = {
        path.relative_to(purged).as_posix()
        for folder in ("etc", "lib", "usr", "var/lib")
        for path in (purged / folder).rglob(f"*{DISTRIBUTION}*")
    }
    assert left == {f"etc/{DISTRIBUTION}"}
    assert [path.name for path in (purged / "etc" / DISTRIBUTION).iterdir()] == ["config.yaml"]
