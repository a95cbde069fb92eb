"""The rooms of the house, and who may enter which: read from the imports."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import exporter

ROOT: Final = Path(exporter.__file__).parent

# From the ground up. A room imports from the floors below it, and from no other room on its own floor.
FLOORS: Final = (
    {"vocabulary"},
    {
        "exporter",
        "model",
        "remedies",
        "wording",
        "durations",
        "negotiation",
        "turns",
        "tls_names",
        "loop_lag",
        "memory",
        "event_loop",
    },
    {"names", "network", "shards"},
    {"problems", "routes"},
    {"attempt", "verdict"},
    {"stages", "in_words", "logs", "warning_rules"},
    {"discovery", "connectivity"},
    {"notaries"},
    {"deep_look"},
    {"probe", "internet", "board", "report_text", "tester_json"},
    {"samples", "report_json"},
    {"metrics", "processes"},
    {"exporter_metrics"},
    {"exposition", "config", "sight"},
    {"targets", "schedule", "wiring", "lab", "probes"},
    {"web", "lists", "workers"},
    {"app", "check"},
    {"demo"},
    {"cli"},
    {"__main__"},
)

# The real network and the embedded federation are passed in; few know that they exist.
INTERNET_IS_KNOWN_BY: Final = {"internet", "wiring", "app", "check", "cli", "lab"}
LAB_IS_KNOWN_BY: Final = {"lab", "demo", "cli"}
LAB_KNOWS: Final = {"exporter", "lab", "model", "names", "vocabulary"}

# Every library in its room: to replace one, or to judge its next release, these are the files to read.
LIBRARIES: Final = {
    "OpenSSL": {"internet", "problems", "stages"},
    "apscheduler": {"schedule"},
    "bcrypt": {"web"},
    "canonicaljson": {"stages", "lab"},
    "cryptography": {"stages", "lab", "web"},
    "dns": {"internet", "lab"},
    "h11": {"internet", "problems", "lab", "web"},
    "httpx": {"lists", "stages"},
    "prometheus_client": {"exposition", "exporter_metrics", "processes"},
    "pydantic": {"config", "lists", "targets", "web"},
    "pydantic_core": {"config"},
    "rich": {"check", "demo", "report_text"},
    "service_identity": {"stages"},
    "starlette": {"web"},
    "structlog": {"app", "lists", "logs", "probes", "problems", "schedule", "sight", "web", "workers"},
    "uvicorn": {"web"},
    "uvloop": {"event_loop"},
    "yaml": {"config", "targets"},
}

# Where no function waits, nobody touches the network: what these decide can be tested as a table.
PURE: Final = (
    *("model", "names", "routes", "shards", "verdict", "warning_rules", "wording"),
    *("internet.der", "internet.dns_message"),
    *(f"stages.{stage}" for stage in ("freshness", "json_body", "keys", "strength", "tls", "version")),
)


class Import(NamedTuple):
    importer: str
    """A module, without `exporter.`; the package itself is `exporter`."""
    imported: str
    """A room, or the name of a library."""
    of_ours: bool


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__") or "exporter", ast.parse(path.read_bytes())


def room(module: str) -> str:
    return module.partition(".")[0]


def imports() -> Iterator[Import]:
    for module, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from read(module, alias.name)
            elif isinstance(node, ast.ImportFrom):
                assert node.module, f"{module}: relative imports hide where a room ends"
                assert not node.level, f"{module}: relative imports hide where a room ends"
                for alias in node.names:
                    yield from read(module, f"{node.module}.{alias.name}")


def read(importer: str, name: str) -> Iterator[Import]:
    first, _, rest = name.partition(".")
    if first == "exporter":
        is_room = (ROOT / room(rest)).is_dir() or (ROOT / f"{room(rest)}.py").is_file()
        yield Import(importer, room(rest) if is_room else "exporter", of_ours=True)
    elif first not in sys.stdlib_module_names:
        yield Import(importer, first, of_ours=False)


OURS: Final = tuple(each for each in imports() if each.of_ours)
THEIRS: Final = tuple(each for each in imports() if not each.of_ours)
FLOOR_OF: Final = {name: number for number, floor in enumerate(FLOORS) for name in floor}


def test_every_room_stands_on_one_floor() -> None:
    """A new room is given its floor in FLOORS, above all that it imports."""
    assert {room(module) for module, _ in modules()} - FLOOR_OF.keys() == set()
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)


def test_imports_point_down() -> None:
    strays = [
        each
        for each in OURS
        if room(each.importer) != each.imported and FLOOR_OF[room(each.importer)] <= FLOOR_OF[each.imported]
    ]
    assert strays == []


def known_by_others(imported: str, acquainted: set[str]) -> list[Import]:
    return [each for each in OURS if each.imported == imported and room(each.importer) not in acquainted]


def test_the_real_network_is_passed_in() -> None:
    """Stages and probes know `network`, the seam, and nothing behind it."""
    assert known_by_others("internet", INTERNET_IS_KNOWN_BY) == []


def test_the_lab_keeps_to_itself() -> None:
    """What it serves comes from the specification, and not from the code that is to be tried against it."""
    assert known_by_others("lab", LAB_IS_KNOWN_BY) == []
    assert [each for each in OURS if room(each.importer) == "lab" and each.imported not in LAB_KNOWS] == []


def test_every_library_stays_in_its_room() -> None:
    assert [each for each in THEIRS if room(each.importer) not in LIBRARIES.get(each.imported, set())] == []


def test_pure_rooms_wait_for_nothing() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    trees = dict(modules())
    for module in PURE:
        assert not any(isinstance(node, waiting) for node in ast.walk(trees[module])), module
