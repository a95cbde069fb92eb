"""The wheel holds the exporter, and nothing that only tests use: no hostile server, no test, no tool."""

import ast
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

pytestmark = pytest.mark.subprocess

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = {
    "exporter",
    "exporter/app",
    "exporter/check",
    "exporter/cli",
    "exporter/config",
    "exporter/demo",
    "exporter/demo/both_ways",
    "exporter/history",
    "exporter/history/storage",
    "exporter/internet",
    "exporter/judging",
    "exporter/judging/peers",
    "exporter/metrics",
    "exporter/metrics/rules",
    "exporter/model",
    "exporter/outbound",
    "exporter/probing",
    "exporter/probing/parsing",
    "exporter/probing/stages",
    "exporter/reports",
    "exporter/runtime",
    "exporter/scheduling",
    "exporter/server_lists",
    "exporter/web",
    "exporter/web/api",
    "exporter/web/pages",
    "exporter/web/pages/views",
    "exporter/web/settings",
    "exporter/workers",
}
DEMO: Final = {
    "__init__",
    "authority",
    "broken",
    "command",
    "dns_server",
    "federation",
    "healthy",
    "homeserver",
    "https_server",
    "listener",
    "ports",
    "servers",
    "story",
    "zone",
}
PAGES: Final = "exporter/web/pages"
RULES: Final = "exporter/metrics/rules"
PAGE_SUFFIXES: Final = {".html", ".css", ".svg", ".atom"}
METADATA: Final = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[PurePosixPath, bytes]:
    """The files of the wheel and their content, as hatchling builds it without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return {PurePosixPath(name): archive.read(name) for name in archive.namelist()}


def modules(wheel: dict[PurePosixPath, bytes]) -> dict[PurePosixPath, ast.Module]:
    return {path: ast.parse(content) for path, content in wheel.items() if path.suffix == ".py"}


def test_the_wheel_holds_these_folders(wheel: dict[PurePosixPath, bytes]) -> None:
    """A new folder is a line in FOLDERS."""
    assert {str(path.parent) for path in modules(wheel)} == FOLDERS


def test_the_wheel_holds_no_other_files(wheel: dict[PurePosixPath, bytes]) -> None:
    """Besides the modules there are only what the pages and the rules need, and the files about the package itself."""
    (dist_info,) = {path.parts[0] for path in wheel} - {"exporter"}
    about = {f"{dist_info}/{name}" for name in METADATA}
    of_pages = {str(path.relative_to(ROOT)) for path in (ROOT / PAGES).rglob("*.*") if path.suffix in PAGE_SUFFIXES}
    assert len(of_pages) > 5
    of_rules = {str(path.relative_to(ROOT)) for path in (ROOT / RULES).rglob("*.y*ml")}
    assert len(of_rules) > 5
    files = {str(path) for path in wheel if path.suffix != ".py"}
    assert files == {"exporter/py.typed"} | about | of_pages | of_rules


def test_the_demo_holds_these_modules(wheel: dict[PurePosixPath, bytes]) -> None:
    """A new module is a line in DEMO: what only tests use belongs to tests/lab."""
    assert {path.stem for path in modules(wheel) if path.parent == PurePosixPath("exporter/demo")} == DEMO


def test_no_module_imports_from_the_tests(wheel: dict[PurePosixPath, bytes]) -> None:
    importing = [
        f"{path}:{node.lineno}"
        for path, tree in modules(wheel).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and imports_tests(node)
    ]
    assert importing == []


def imports_tests(node: ast.Import | ast.ImportFrom) -> bool:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return any(name.split(".")[0] == "tests" for name in names)


def test_the_demo_uses_every_name_that_it_defines(wheel: dict[PurePosixPath, bytes]) -> None:
    """A server, a fault or a helper that only tests use is defined in tests/lab."""
    trees = modules(wheel)
    used = Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    )
    defined = {name for path, tree in trees.items() if path.parts[1] == "demo" for name in defined_names(tree)}
    assert len(defined) > 100
    assert {name for name in defined if not used[name]} == set()


def defined_names(tree: ast.Module) -> set[str]:
    """Return the classes, functions and constants of a module."""
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    assigned = [
        target
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return names | {name.id for target in assigned for name in ast.walk(target) if isinstance(name, ast.Name)}
