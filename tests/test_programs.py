import sys
from pathlib import Path

import pytest

from tests.programs import program


def test_finds_what_is_installed() -> None:
    """As the shell would."""
    assert program(sys.executable) == sys.executable


def test_finds_what_is_not_on_everybodys_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers lie where only administrators look."""
    server = tmp_path / "some-server"
    server.touch(mode=0o755)
    monkeypatch.setattr("tests.programs.ADMINISTRATORS_FOLDER", str(tmp_path))
    assert program("some-server") == str(server)


def test_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """There nothing is skipped in silence."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        program("no-such-program")


def test_missing_program_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reason that says what to do."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="`make test` installs it"):
        program("no-such-program")
