"""The markers of slow tests."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_make_check_leaves_out_every_marker() -> None:
    """Each marker says why a test is slow, or what it needs."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    declared = [re.split(r"[(:]", marker)[0] for marker in settings["markers"]]
    (left_out,) = re.findall(r"^SLOW := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared
    assert sorted(left_out.split(" or ")) == sorted(declared)
