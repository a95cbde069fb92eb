"""The unit of deploy/systemd, as systemd reads it."""

import sys
from pathlib import Path
from subprocess import STDOUT, check_output, run

import pytest

from exporter.cli import parser
from tests.programs import program

UNIT = Path("deploy/systemd/matrix-federation-exporter.service")
INSTALLED = "/opt/matrix-federation-exporter/bin"  # as the README there says

pytestmark = pytest.mark.system("systemd-analyze")


def test_exposure_is_at_most_2() -> None:
    """Of 10, which is a service that may do anything. `--threshold` counts tenths."""
    analyze = [program("systemd-analyze"), "--no-pager", "security", "--offline=true", "--threshold=20", str(UNIT)]
    judged = run(analyze, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """It warns of keys that it does not know, and of programs that are not there: here they are those of the tests."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(INSTALLED, str(Path(sys.executable).parent)))
    assert check_output([program("systemd-analyze"), "verify", "--man=no", unit], stderr=STDOUT, text=True) == ""


@pytest.mark.parametrize("key", ["ExecStart", "ExecReload"])
def test_command_line_is_understood(key: str) -> None:
    """As the exporter reads it, without what an administrator adds."""
    program_name, *arguments = service()[key].removesuffix(" $ARGUMENTS").split()
    assert (program_name, parser().parse_args(arguments).config) == (
        f"{INSTALLED}/matrix-federation-exporter",
        Path("/etc/matrix-federation-exporter/config.yaml"),
    )


@pytest.mark.parametrize("key", ["MemoryDenyWriteExecute", "ProcSubset"])
def test_what_would_break_the_exporter_stays_away(key: str) -> None:
    """However good it looks in the list: the unit says why."""
    assert key not in service()


def service() -> dict[str, str]:
    """The first value of each key: the second ExecReload is `kill`."""
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    pairs = [line.split("=", 1) for line in lines]
    return dict(reversed(pairs))
