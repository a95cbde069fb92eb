"""The layers of the package, read from its imports: what each folder may import, and how large it may become."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

import exporter

ROOT: Final = Path(exporter.__file__).parent
REPOSITORY: Final = ROOT.parent
TOOLS: Final = ("deploy", "docs", "grafana", "tests")  # folders of the repository that import the package

# From the ground up: a folder imports what stands above it in this table, and nothing else. A top-level module is its
# own folder. Every permission must be used, so the table says what is there. To replace a library, or to judge its
# next release, look for its name here.
IMPORTS: Final[dict[str, set[str]]] = {
    "exporter": set(),
    "model": set(),
    "judging.peers": {"model"},
    "judging": {"judging.peers", "model"},
    "runtime": {"structlog", "uvloop"},
    "probing": {"judging", "judging.peers", "model", "runtime", "OpenSSL", "h11", "structlog"},
    "probing.parsing": {"model", "probing", "OpenSSL", "cryptography"},
    "probing.stages": {
        *("model", "probing", "probing.parsing", "runtime"),
        *("OpenSSL", "canonicaljson", "cryptography", "httpx", "service_identity"),
    },
    "internet": {"exporter", "model", "probing", "runtime", "OpenSSL", "dns", "h11"},
    "outbound": {
        *("exporter", "judging", "model", "probing", "probing.parsing", "probing.stages", "runtime"),
        *("canonicaljson", "cryptography"),
    },
    "history": {"judging", "judging.peers", "model"},
    "reports": {"history", "judging", "judging.peers", "model", "runtime", "rich"},
    "metrics": {"exporter", "history", "judging", "judging.peers", "model", "reports", "prometheus_client"},
    "config": {"metrics", "model", "pydantic", "pydantic_core", "structlog", "yaml"},
    "history.storage": {"config", "history", "judging", "model", "structlog"},
    "metrics.rules": {"config", "judging"},
    "scheduling": {
        "config",
        "judging",
        "metrics",
        "model",
        "outbound",
        "probing",
        "reports",
        "runtime",
        "apscheduler",
        "structlog",
    },
    "server_lists": {"config", "exporter", "metrics", "model", "httpx", "pydantic", "structlog"},
    "workers": {"config", "model", "probing", "structlog"},
    "web.api": {
        "config",
        "exporter",
        "history",
        "judging",
        "metrics",
        "model",
        "reports",
        "runtime",
        "scheduling",
        "starlette",
    },
    "web.pages.views": {"history", "judging", "judging.peers", "model", "reports"},
    "web.pages": {
        *("exporter", "history", "judging", "model", "reports", "web.api", "web.pages.views"),
        *("jinja2", "markupsafe", "starlette"),
    },
    "web.settings": {"config", "model", "runtime", "bcrypt", "cryptography", "pydantic", "structlog"},
    "web": {
        *("config", "history", "metrics", "model", "outbound", "probing", "reports", "runtime"),
        *("web.api", "web.pages", "web.settings", "structlog"),
        *("h11", "starlette", "uvicorn"),
    },
    "wiring": {"config", "internet", "model", "probing", "server_lists"},
    "worker": {"model", "probing", "runtime", "wiring", "workers", "structlog"},
    "check": {
        *("config", "history.storage", "judging", "judging.peers", "metrics.rules", "model", "probing", "reports"),
        *("scheduling", "server_lists", "web", "wiring", "rich", "structlog"),
    },
    "app": {
        *("config", "history", "history.storage", "metrics", "model", "probing", "reports", "runtime", "scheduling"),
        *("server_lists", "web", "web.api", "web.settings", "wiring", "workers", "structlog"),
    },
    "demo": {
        "app",
        "config",
        "judging",
        "model",
        "web",
        "canonicaljson",
        "cryptography",
        "dns",
        "h11",
        "rich",
    },
    "demo.both_ways": {"demo", "judging", "model", "outbound", "h11"},
    "cli": {
        *("app", "check", "config", "demo", "exporter", "metrics.rules", "model", "outbound", "reports", "runtime"),
        *("server_lists", "web", "web.settings", "workers"),
    },
    "__main__": {"cli"},
}

# `probing` drives its stages, which use what it offers them, and `demo` starts the homeservers that connect to others,
# which are made of its own; their modules are in order all the same.
NESTED: Final = {("probing", "probing.stages"), ("demo", "demo.both_ways")}

# Where no function waits, nothing touches the network: what these decide can be tested as a table.
PURE: Final = (
    *("model", "judging", "judging.peers", "probing.parsing", "internet.costs", "internet.dns_message"),
    *("history.changes", "history.incidents", "history.memory", "history.strips"),
    *(f"probing.stages.{stage}" for stage in ("keys", "tls", "version")),
)

MAX_ENTRIES: Final = 23  # of the package itself
MAX_FILES: Final = 14  # of a folder
MAX_LINES: Final = 320  # of a file


class Import(NamedTuple):
    importer: str
    """A module, without `exporter.`; the package itself is `exporter`."""
    imported: str
    """A module likewise, or the name of a library."""
    is_ours: bool


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the package by its name without `exporter.`."""
    return {name_of(path): ast.parse(path.read_bytes()) for path in sorted(ROOT.rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "exporter"


def folder(module: str) -> str:
    """Return the folder that a module lies in; a module at the top level is its own."""
    return module if (ROOT / module.replace(".", "/")).is_dir() else module.rpartition(".")[0] or module


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        found
        for module, tree in modules().items()
        for node in ast.walk(tree)
        for name in imported_names(module, node)
        if (found := resolve(module, name))
    )


def imported_names(module: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.module, f"{module}: relative imports hide where a folder ends"
        assert not node.level, f"{module}: relative imports hide where a folder ends"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def resolve(importer: str, name: str) -> Import | None:
    """Return None for the standard library. `name` may end in something that the module defines."""
    library, _, rest = name.partition(".")
    if library != "exporter":
        return None if library in sys.stdlib_module_names else Import(importer, library, is_ours=False)
    while rest and rest not in modules():
        rest = rest.rpartition(".")[0]
    return Import(importer, rest or "exporter", is_ours=True)


def test_every_folder_imports_what_it_may_and_nothing_else() -> None:
    """A new import, and one that is no longer there, is a line in IMPORTS."""
    found: dict[str, set[str]] = {folder(module): set() for module in modules()}
    for each in imports():
        target = folder(each.imported) if each.is_ours else each.imported
        if target != folder(each.importer):
            found[folder(each.importer)].add(target)
    allowed = {name: set(names) for name, names in IMPORTS.items()}
    for outer, inner in NESTED:
        allowed[outer].add(inner)
    assert found == allowed


def test_imports_point_down() -> None:
    order = list(IMPORTS)
    upwards = [
        (name, imported)
        for name, allowed in IMPORTS.items()
        for imported in allowed & IMPORTS.keys()
        if order.index(imported) >= order.index(name)
    ]
    assert upwards == []


def test_no_module_imports_itself_by_a_detour() -> None:
    """Raises CycleError otherwise. Packages are left out: they hold what they export."""
    graph = {
        module: {each.imported for each in imports() if each.is_ours and each.importer == module}
        for module in modules()
    }
    order = list(TopologicalSorter({module: needed - {module} for module, needed in graph.items()}).static_order())
    assert set(order) == set(modules())


def test_the_real_network_is_passed_in() -> None:
    """Stages and probes know `probing.network`, the seam, and nothing behind it."""
    assert [name for name, allowed in IMPORTS.items() if "internet" in allowed] == ["wiring"]


def test_pure_modules_wait_for_nothing() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    pure = [name for name in modules() if name in PURE or folder(name) in PURE]
    assert len(pure) > len(PURE)
    for name in pure:
        assert not any(isinstance(node, waiting) for node in ast.walk(modules()[name])), name


def test_the_package_stays_small_enough_to_be_looked_over() -> None:
    folders = [ROOT, *(path for path in ROOT.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    assert len([entry for entry in ROOT.iterdir() if entry.name != "__pycache__"]) <= MAX_ENTRIES
    assert {path.name: count for path in folders if (count := len(list(path.glob("*.py")))) > MAX_FILES} == {}
    lines = {path.name: path.read_text().count("\n") for path in ROOT.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


# ---------------------------------------------------------------- the demo of real homeservers

REAL_HOMESERVERS: Final = REPOSITORY / "deploy" / "demo"
ITS_IMPORTS: Final = {
    *("app", "config", "demo", "demo.both_ways", "judging", "model", "outbound", "runtime", "web"),
    *("deploy", "httpx", "rich"),
}
"""Of the package, it uses the embedded federation and the whole exporter."""


def test_the_demo_of_real_homeservers_is_as_small_and_imports_what_it_may() -> None:
    """It is not a part of the package. What starts Synapse runs where the package is not installed."""
    paths = sorted(REAL_HOMESERVERS.glob("*.py"))
    found = {path.stem: imports_of(path) for path in paths}
    assert found.pop("launch_synapse") == {"synapse", "twisted"}
    assert set().union(*found.values()) == ITS_IMPORTS
    assert len(paths) <= MAX_FILES
    assert {path.name for path in paths if path.read_text().count("\n") > MAX_LINES} == set()


def imports_of(path: Path) -> set[str]:
    """Return the folders of the package and the libraries that a file outside of the package imports."""
    nodes = ast.walk(ast.parse(path.read_bytes()))
    found = [resolve(path.stem, name) for node in nodes for name in imported_names(path.stem, node)]
    return {folder(each.imported) if each.is_ours else each.imported for each in found if each}


# ---------------------------------------------------------------- public and private

CONVENTIONAL: Final = {"log", "main"}  # a module's logger, and the entry point that pyproject.toml names


def test_a_name_that_only_its_module_uses_has_an_underscore() -> None:
    """Tests count as users, and so does a public signature that a type stands in."""
    used = used_names()
    unused = [
        f"{module}.{name}"
        for module, tree in modules().items()
        for name in defined_names(tree)
        if not name.startswith("_") and name not in CONVENTIONAL and name not in used[module]
        if name not in public_types(tree)
    ]
    assert unused == []


def defined_names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def used_names() -> dict[str, set[str]]:
    """Return by module the names that others import from it, read from it or patch in it."""
    used: dict[str, set[str]] = {module: set() for module in modules()}
    for path in chain(ROOT.rglob("*.py"), *(REPOSITORY.joinpath(tool).rglob("*.py") for tool in TOOLS)):
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
        aliases: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "exporter":
                module = node.module.removeprefix("exporter").removeprefix(".") or "exporter"
                for alias in node.names:
                    full = f"{module}.{alias.name}".removeprefix("exporter.")
                    if full in used:
                        aliases[alias.asname or alias.name] = full
                    elif module in used:
                        used[module].add(alias.name)
        for node in nodes if aliases else ():
            match node:
                case ast.Attribute(value=ast.Name(id=local), attr=name) if local in aliases:
                    used[aliases[local]].add(name)
                case ast.Call(args=[ast.Name(id=local), ast.Constant(value=str(name)), *_]) if local in aliases:
                    used[aliases[local]].add(name)
    return used


def public_types(tree: ast.Module) -> set[str]:
    """Return the names in the annotations of what a module defines."""
    annotations: Iterable[ast.expr | None] = (
        annotation
        for node in ast.walk(tree)
        for annotation in (
            [node.annotation]
            if isinstance(node, ast.arg | ast.AnnAssign)
            else [node.returns]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            else []
        )
    )
    aliases = (node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
    words = (ast.unparse(each) for each in chain(annotations, aliases) if each is not None)
    return {name for text in words for name in text.replace('"', " ").replace("'", " ").translate(SEPARATORS).split()}


SEPARATORS: Final = str.maketrans(dict.fromkeys("[](){}|,.:*=", " "))
