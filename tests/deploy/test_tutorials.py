"""The snippets of docs/tutorials, in the programs that they are for."""

import re
import shlex
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from exporter.cli import parser
from exporter.config import load
from exporter.demo.authority import Authority
from tests.deploy.rules import ROOT

PAGES: Final = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCKS: Final = [
    (page.stem, kind, text)
    for page in PAGES
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
]
DOCUMENTS: Final[list[tuple[str, dict[str, Any]]]] = [
    (page, yaml.safe_load(text)) for page, kind, text in BLOCKS if kind == "yaml"
]
COMMANDS: Final = [
    line
    for _, kind, text in BLOCKS
    if kind == "sh"
    for line in text.splitlines()
    if line.startswith("matrix-federation-exporter ")
]
QUERIES: Final = [query for page in PAGES for query in re.findall(r"\| `([^`|]+)` \|$", page.read_text(), re.MULTILINE)]
INSTALLATION: Final = ["python3 -m venv venv", ". venv/bin/activate"]
"""The first and the last command that are not the exporter's. The README has the same ones, and CI runs them."""


def test_every_kind_of_snippet_has_a_test() -> None:
    """A scrape configuration is one of tests/deploy/test_scrape_configs.py."""
    assert {kind for _, kind, _ in BLOCKS} == {"sh", "yaml"}
    assert {next(iter(document)) for _, document in DOCUMENTS} == {"servers", "rule_files"}
    others = [line for _, kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line not in COMMANDS]
    assert [others[0], others[-1]] == INSTALLATION
    assert all(line in (ROOT / "README.md").read_text() for line in others[:-1])


@pytest.mark.parametrize(("page", "document"), [each for each in DOCUMENTS if "servers" in each[1]])
def test_configurations_are_valid(page: str, document: dict[str, Any], tmp_path: Path) -> None:
    """With the files that they name."""
    (tmp_path / "synapse.token").write_text("secret")
    Authority(tmp_path).ca_file.rename(tmp_path / "private-ca.pem")
    (tmp_path / "network.d").mkdir()
    (tmp_path / "network.d" / "servers.yaml").write_text("[{targets: [example.net]}]")
    file = tmp_path / f"{page}.yaml"
    file.write_text(yaml.safe_dump(document))
    assert load(file).servers


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    assert parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("query", QUERIES)
def test_queries_are_valid(query: str) -> None:
    assert "matrix_federation_" in promql_parser.parse(query).prettify()


def test_queries_were_found() -> None:
    assert len(QUERIES) == 4
