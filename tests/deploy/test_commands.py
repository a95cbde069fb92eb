"""The manual page and the completions, in the programs that they are for. tests/test_docs.py compares the files."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from docs.commands import SHELLS
from exporter import DISTRIBUTION
from tests.deploy.rules import ROOT
from tests.programs import program

MANUAL = ROOT / "deploy" / "man" / f"{DISTRIBUTION}.1"
COMPLETIONS = ROOT / "deploy" / "completions"

pytestmark = pytest.mark.subprocess


def run(*command: str | Path, **environment: str) -> tuple[str, str]:
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return ran.stdout, ran.stderr


@pytest.mark.system("man")
def test_man_shows_every_command_and_option() -> None:
    """Without a warning, and with hyphens that can be copied."""
    shown, warnings = run(program("man"), "--warnings", "--local-file", MANUAL, MANWIDTH="200", LC_ALL="C.UTF-8")
    assert warnings == ""
    assert f"{DISTRIBUTION} - Prometheus exporter" in shown
    for text in ("serve --config FILE", "check-config FILE", "check SERVER ...", "--web.listen-address ADDRESS"):
        assert text in shown
    assert "at most 64 (default: 1)" in shown


@pytest.mark.parametrize("shell", [pytest.param(shell, marks=pytest.mark.system(shell)) for shell in SHELLS])
def test_the_shell_accepts_its_completion(shell: str) -> None:
    """As a syntax check does, which runs nothing."""
    assert run(program(shell), "-n", COMPLETIONS / SHELLS[shell]) == ("", "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {"serve", "check", "demo"}),
        ("check --format ", {"text", "json", "nagios"}),
        ("serve --web.", {"--web.listen-address", "--web.external-url"}),
    ],
)
def test_bash_completes(line: str, expected: set[str]) -> None:
    """As it does when somebody presses Tab."""
    words = [DISTRIBUTION, *line.split(), *([""] if line.endswith(" ") or not line else [])]
    script = f"""
source {COMPLETIONS / SHELLS["bash"]}
COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
COMP_LINE={shlex.quote(" ".join(words))} COMP_POINT=${{#COMP_LINE}}
_shtab_{DISTRIBUTION.replace("-", "_")}
printf '%s\n' "${{COMPREPLY[@]}}"
"""
    shown, _ = run(program("bash"), "-c", script)
    assert expected <= set(shown.split())
