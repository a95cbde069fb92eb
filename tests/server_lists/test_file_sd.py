"""Server names from files in Prometheus's file_sd format."""

import json
from pathlib import Path

import pytest

from exporter.config import Complaint, Config, ConfigError, ProbeSettings
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer
from exporter.server_lists.file_sd import ServerFiles, merge_servers, parse_names

ONE_ENTRY_A_LINE = "write each entry as `key: value` on a line of its own"
EXPECTED_NAME = "expected a server name such as example.org or example.org:8448"
NO_NAME = "only letters, digits, '-' and '.' are allowed in a name"


def server_names(*texts: str) -> tuple[ServerName, ...]:
    return tuple(map(names.parse, texts))


def complaints(files: ServerFiles) -> list[str]:
    return [str(complaint) for complaint in files.complaints]


@pytest.fixture
def server_files(tmp_path: Path) -> ServerFiles:
    """Return the YAML and JSON files of an empty folder."""
    return ServerFiles([f"{tmp_path}/*.yaml", f"{tmp_path}/*.json"])


def test_names_of_all_files_are_sorted_without_duplicates(server_files: ServerFiles, tmp_path: Path) -> None:
    """Files may be YAML or JSON, with a byte order mark, with several groups, and with labels of any type."""
    (tmp_path / "b.yaml").write_text("""
- targets: [matrix.org, "[2001:db8::1]:8448"]
  labels: {team: chat, number: 5, nothing: }
- targets: [example.org]
- {}
""")
    (tmp_path / "a.json").write_text(
        '\ufeff[\n\t{"targets": ["example.org", "a.example"], "labels": {"\\ud83d\\ude00": "x"}}]'
    )
    (tmp_path / "empty.yaml").write_text("[]")
    assert server_files.refresh()
    assert (server_files.names, complaints(server_files)) == (
        server_names("[2001:db8::1]:8448", "a.example", "example.org", "matrix.org"),
        [],
    )


def test_a_pattern_that_matches_nothing_is_a_complaint(server_files: ServerFiles, tmp_path: Path) -> None:
    """Otherwise a typing error in a path would go unnoticed."""
    server_files.refresh()
    sentence = "expected a file, found none that matches: check the path in `server_files`"
    assert (server_files.names, server_files.complaints) == (
        (),
        tuple(Complaint(f"{tmp_path}/*.{ending}", None, "", sentence) for ending in ("yaml", "json")),
    )


def test_only_changed_files_are_parsed(tmp_path: Path) -> None:
    """A change is noticed even if size and time of the file are the same."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [example.org]")
    files = ServerFiles([str(file)])
    assert files.refresh()
    before = files.files
    assert not files.refresh()
    assert files.files[str(file)] is before[str(file)]
    file.write_text("- targets: [example.net]")
    assert (files.refresh(), files.names) == (True, server_names("example.net"))


BROKEN = {
    "not YAML": ("- targets: [example.org\n", ":2: invalid YAML: "),
    "a wrong name": (
        "- targets:\n  - example.net\n  - example_org\n",
        f":3: [0].targets[1]: {EXPECTED_NAME}, found `example_org`: {NO_NAME}",
    ),
    "not a name": ("- targets: [5]\n", f":1: [0].targets[0]: {EXPECTED_NAME}, found the number 5: put it in quotes"),
    "an unknown key": ("- target: [example.net]\n", ":1: [0].target: unknown key `target`, did you mean `targets`?"),
    "a duplicate key": (
        "- targets: [example.net]\n  targets: [example.com]\n",
        ":2: [0].targets: this key is already used on line 1: remove one of them",
    ),
    "labels that are a list": (
        "- labels: []\n",
        f":1: [0].labels: expected a mapping, found an empty list: {ONE_ENTRY_A_LINE}",
    ),
    "names without groups": (
        "- example.net\n",
        ":1: [0]: expected a mapping with any of the keys targets, labels, found `example.net`",
    ),
    "not a list": ("targets: [example.net]\n", ":1: expected a list, found a mapping: begin each item with `- `"),
    "empty": ("", ": expected YAML, found an empty file"),
    "a control character": ("- targets: [\x01]\n", ":1: expected text, found the control character 0x01: remove it"),
}


@pytest.mark.parametrize(("content", "complaint"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_keeps_the_names_of_its_last_valid_content(content: str, complaint: str, tmp_path: Path) -> None:
    """It has one complaint until it is repaired."""
    file = tmp_path / "servers.yaml"
    files = ServerFiles([str(file)])
    file.write_text("- targets: [example.org]")
    files.refresh()
    file.write_text(content)
    assert (files.refresh(), files.names) == (True, server_names("example.org"))
    assert [line.startswith(f"{file}{complaint}") for line in complaints(files)] == [True]
    assert not files.refresh()
    file.write_text("- targets: [example.com]")
    assert (files.refresh(), files.names, complaints(files)) == (True, server_names("example.com"), [])


def test_a_broken_file_does_not_affect_the_others(server_files: ServerFiles, tmp_path: Path) -> None:
    """A file that was never valid has no names."""
    (tmp_path / "a.yaml").write_text("- targets: [5 5]\n")
    (tmp_path / "b.json").write_text('[{"targets": ["example.org"]}]')
    server_files.refresh()
    assert server_files.names == server_names("example.org")
    assert complaints(server_files) == [f"{tmp_path}/a.yaml:1: [0].targets[0]: {EXPECTED_NAME}, found `5 5`: {NO_NAME}"]


def test_an_unreadable_file_keeps_the_names_of_its_last_valid_content(tmp_path: Path) -> None:
    """A folder replaces it here. The same content afterwards is valid again."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [example.org]")
    files = ServerFiles([str(file)])
    files.refresh()
    file.unlink()
    file.mkdir()
    assert (files.refresh(), files.names) == (True, server_names("example.org"))
    assert complaints(files) == [f"{file}: expected a file, found a directory"]
    file.rmdir()
    file.write_text("- targets: [example.org]")
    assert (files.refresh(), files.names, complaints(files)) == (True, server_names("example.org"), [])


def test_a_removed_file_loses_its_names(server_files: ServerFiles, tmp_path: Path) -> None:
    """It does even if it was broken before."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"- targets: [{name}.example]")
    (tmp_path / "c.json").write_text("[]")
    server_files.refresh()
    (tmp_path / "a.yaml").write_text("broken")
    server_files.refresh()
    (tmp_path / "a.yaml").unlink()
    assert (server_files.refresh(), server_files.names, complaints(server_files)) == (
        True,
        server_names("b.example"),
        [],
    )


def test_new_patterns_keep_the_state_of_files(tmp_path: Path) -> None:
    """A reload of the configuration keeps the names of a file that is broken at that moment."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [example.org]")
    files = ServerFiles([str(file)])
    files.refresh()
    file.write_text("broken")
    files.patterns = (f"{tmp_path}/*.yaml",)
    files.refresh()
    assert files.names == server_names("example.org")


@pytest.mark.parametrize("file", ["servers.json", "servers.yaml"])
def test_the_last_one_of_duplicate_keys_counts(file: str) -> None:
    """Its values count, and so do their lines."""
    with pytest.raises(ConfigError) as caught:
        parse_names(file, b'[{"targets": [],\n"targets": ["example.org",\n"example_org"]}]')
    wrong = f"[0].targets[1]: {EXPECTED_NAME}, found `example_org`: {NO_NAME}"
    assert str(caught.value.complaints[-1]) == f"{file}:3: {wrong}"


def test_a_key_with_an_unpaired_surrogate_is_refused() -> None:
    """Only JSON can contain one."""
    with pytest.raises(ConfigError) as caught:
        parse_names("servers.json", rb'[{"\ud800": []}]')
    assert str(caught.value).startswith("servers.json: [0]: expected a key that is valid Unicode, found ")


def test_complaints_about_json_have_lines(tmp_path: Path) -> None:
    """Complaints about a file with an escaped surrogate pair, which only JSON can contain, have none."""
    file = tmp_path / "servers.json"
    wrong = f"[0].targets[0]: {EXPECTED_NAME}, found `true`"
    for label, line in (("x", ":4"), ("\N{GRINNING FACE}", "")):
        file.write_text(json.dumps([{"targets": [True], "labels": {label: ""}}], indent=1))
        files = ServerFiles([str(file)])
        files.refresh()
        assert complaints(files) == [f"{file}{line}: {wrong}"]


def test_the_configuration_overrides_the_files() -> None:
    """A server in both has the settings of the configuration."""
    matrix, example = server_names("matrix.org", "example.org")
    configured = WatchedServer(example, 60.0, Target("matrix.example.org", 443))
    config = Config(servers=(configured,), probe=ProbeSettings(interval=120.0))
    assert merge_servers(config, (example, matrix)) == (configured, WatchedServer(matrix, 120.0, None))
