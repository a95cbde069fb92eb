"""The unit of deploy/systemd, as systemd reads it."""

import sys
from pathlib import Path
from subprocess import STDOUT, check_output, run

import pytest

from exporter.cli import parser
from exporter.config.settings import DEFAULT_LISTEN
from exporter.model import durations
from exporter.workers import pool
from tests.programs import program

UNIT = Path("deploy/systemd/matrix-federation-exporter.service")
SOCKET = UNIT.with_suffix(".socket")
README = UNIT.with_name("README.md")
CONFIG_FOLDER = "/etc/matrix-federation-exporter"
INSTALLED = "/opt/matrix-federation-exporter/bin"  # as the README there says

pytestmark = pytest.mark.system("systemd-analyze")


def test_exposure_is_at_most_1_3() -> None:
    """Of 10, which is a service that may do anything. `--threshold` counts tenths, and README.md names the value."""
    analyze = [program("systemd-analyze"), "--no-pager", "security", "--offline=true", "--threshold=13", str(UNIT)]
    judged = run(analyze, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "rates its exposure at 1.3 out of 10" in " ".join(README.read_text().split())


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """It warns of keys that it does not know, and of programs that are not there: here they are those of the tests."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(INSTALLED, str(Path(sys.executable).parent)))
    activated = tmp_path / SOCKET.name
    activated.write_text(SOCKET.read_text())
    analyze = [program("systemd-analyze"), "verify", "--man=no", str(unit), str(activated)]
    assert check_output(analyze, stderr=STDOUT, text=True) == ""


def test_nothing_starts_before_the_servers_are_written(tmp_path: Path) -> None:
    """As systemd itself decides. The commands of README.md do not write the file."""
    config = f"{CONFIG_FOLDER}/config.yaml"
    condition = f"ConditionPathExists={config}"
    assert condition in UNIT.read_text().splitlines()
    assert f"--config {config} " in service()["ExecStart"]
    written = tmp_path / "config.yaml"
    analyze = [program("systemd-analyze"), "condition", condition.replace(config, str(written))]
    assert run(analyze, capture_output=True, check=False).returncode != 0
    written.touch()
    assert run(analyze, capture_output=True, check=False).returncode == 0
    install, *_ = README.read_text().split("```sh\n")[1].split("```")
    assert config not in install
    assert "systemctl enable" not in install


def test_the_watchdog_gives_a_worker_the_time_to_start() -> None:
    assert durations.parse(service()["WatchdogSec"].replace("min", "m")) > pool._STARTING_SECONDS


def test_the_socket_replaces_the_default_address() -> None:
    """Prometheus finds the exporter where it is without the socket unit."""
    assert f"ListenStream={DEFAULT_LISTEN}" in SOCKET.read_text().splitlines()


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
