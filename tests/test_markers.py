"""The markers of slow tests."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
MARKERS = dict(marker.split(": ") for marker in SETTINGS["markers"])
"""Each says why a test is slow, or what it needs."""


def test_make_check_leaves_out_every_marker() -> None:
    (left_out,) = re.findall(r"^SLOW := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(left_out.split(" or ")) == sorted(marker.partition("(")[0] for marker in MARKERS)


def test_every_marker_is_documented() -> None:
    rows = [f"| `{marker}` | {sentence} |" for marker, sentence in MARKERS.items()]
    documented = (ROOT / "docs/testing.md").read_text().splitlines()
    assert rows
    assert [row for row in rows if row not in documented] == []
