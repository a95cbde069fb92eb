"""Every snippet of the documentation: the fenced blocks of all pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
_FOLDERS: Final = ("docs", "deploy", "grafana")
PAGES: Final = sorted([*ROOT.glob("*.md"), *(page for name in _FOLDERS for page in (ROOT / name).rglob("*.md"))])
_BLOCK: Final = re.compile(r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Snippet:
    page: str
    """Its path in the repository."""
    line: int
    kind: str
    """The language; empty for a drawing, or for what a program prints."""
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def document(self) -> dict[str, Any]:
        """The content of a snippet in YAML."""
        loaded = yaml.safe_load(self.text)
        assert isinstance(loaded, dict)
        return loaded

    @property
    def commands(self) -> list[str]:
        """The commands of a snippet for a shell."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if line.strip()]


def _snippets() -> Iterator[Snippet]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            yield Snippet(page.relative_to(ROOT).as_posix(), line, block["kind"], dedent(block["text"]))


SNIPPETS: Final = list(_snippets())


def of_kind(kind: str) -> list[Snippet]:
    return [snippet for snippet in SNIPPETS if snippet.kind == kind]
