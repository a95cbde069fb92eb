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


def said(files: ServerFiles) -> list[str]:
    return [str(complaint) for complaint in files.complaints]


@pytest.fixture
def server_files(tmp_path: Path) -> ServerFiles:
    """All YAML and JSON files of an empty folder."""
    return ServerFiles([f"{tmp_path}/*.yaml", f"{tmp_path}/*.json"])


def test_names_of_all_files_are_one_sorted_list(server_files: ServerFiles, tmp_path: Path) -> None:
    """YAML and JSON, a byte order mark, several groups, labels of any kind; a name that stands twice is one server."""
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
    assert (server_files.names, said(server_files)) == (
        server_names("[2001:db8::1]:8448", "a.example", "example.org", "matrix.org"),
        [],
    )


def test_a_pattern_that_matches_nothing_is_told(server_files: ServerFiles, tmp_path: Path) -> None:
    """A path with a typing error would watch nothing, and say nothing."""
    server_files.refresh()
    sentence = "expected a file, found none that matches: check the path in `server_files`"
    assert (server_files.names, server_files.complaints) == (
        (),
        tuple(Complaint(f"{tmp_path}/*.{ending}", None, "", sentence) for ending in ("yaml", "json")),
    )


def test_only_changes_are_read(tmp_path: Path) -> None:
    """A refresh without one says so; one of the same length and the same age is seen."""
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
    "no name": ("- targets: [5]\n", f":1: [0].targets[0]: {EXPECTED_NAME}, found the number 5: put it in quotes"),
    "an unknown key": ("- target: [example.net]\n", ":1: [0].target: unknown key `target`, did you mean `targets`?"),
    "a key given twice": (
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
    "no list": ("targets: [example.net]\n", ":1: expected a list, found a mapping: begin each item with `- `"),
    "nothing": ("", ": expected YAML, found an empty file"),
    "no text": ("- targets: [\x01]\n", ":1: expected text, found the control character 0x01: remove it"),
}


@pytest.mark.parametrize(("content", "complaint"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_keeps_its_last_good_content(content: str, complaint: str, tmp_path: Path) -> None:
    """It says what is wrong, once; mended, it says nothing any more."""
    file = tmp_path / "servers.yaml"
    files = ServerFiles([str(file)])
    file.write_text("- targets: [example.org]")
    files.refresh()
    file.write_text(content)
    assert (files.refresh(), files.names) == (True, server_names("example.org"))
    assert [line.startswith(f"{file}{complaint}") for line in said(files)] == [True]
    assert not files.refresh()
    file.write_text("- targets: [example.com]")
    assert (files.refresh(), files.names, said(files)) == (True, server_names("example.com"), [])


def test_a_broken_file_does_not_touch_the_others(server_files: ServerFiles, tmp_path: Path) -> None:
    """Theirs are read all the same, and a file that never was good has no names."""
    (tmp_path / "a.yaml").write_text("- targets: [5 5]\n")
    (tmp_path / "b.json").write_text('[{"targets": ["example.org"]}]')
    server_files.refresh()
    assert server_files.names == server_names("example.org")
    assert said(server_files) == [f"{tmp_path}/a.yaml:1: [0].targets[0]: {EXPECTED_NAME}, found `5 5`: {NO_NAME}"]


def test_a_file_that_cannot_be_read_keeps_its_last_good_content(tmp_path: Path) -> None:
    """Here a folder takes its place; the same content afterwards is good again."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [example.org]")
    files = ServerFiles([str(file)])
    files.refresh()
    file.unlink()
    file.mkdir()
    assert (files.refresh(), files.names) == (True, server_names("example.org"))
    assert said(files) == [f"{file}: expected a file, found a directory"]
    file.rmdir()
    file.write_text("- targets: [example.org]")
    assert (files.refresh(), files.names, said(files)) == (True, server_names("example.org"), [])


def test_a_file_that_is_gone_takes_its_names_along(server_files: ServerFiles, tmp_path: Path) -> None:
    """Even one that was broken before: it is not there to be mended."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"- targets: [{name}.example]")
    (tmp_path / "c.json").write_text("[]")
    server_files.refresh()
    (tmp_path / "a.yaml").write_text("broken")
    server_files.refresh()
    (tmp_path / "a.yaml").unlink()
    assert (server_files.refresh(), server_files.names, said(server_files)) == (True, server_names("b.example"), [])


def test_new_patterns_keep_what_is_known(tmp_path: Path) -> None:
    """A reload of the configuration must not lose the last good content of a file that is broken just then."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [example.org]")
    files = ServerFiles([str(file)])
    files.refresh()
    file.write_text("broken")
    files.patterns = (f"{tmp_path}/*.yaml",)
    files.refresh()
    assert files.names == server_names("example.org")


@pytest.mark.parametrize("file", ["servers.json", "servers.yaml"])
def test_of_a_key_that_is_given_twice_the_last_one_counts(file: str) -> None:
    """Its values, and the lines on which they stand."""
    with pytest.raises(ConfigError) as refused:
        parse_names(file, b'[{"targets": [],\n"targets": ["example.org",\n"example_org"]}]')
    wrong = f"[0].targets[1]: {EXPECTED_NAME}, found `example_org`: {NO_NAME}"
    assert str(refused.value.complaints[-1]) == f"{file}:3: {wrong}"


def test_half_a_surrogate_pair_is_no_key() -> None:
    """Only JSON can write one."""
    with pytest.raises(ConfigError) as refused:
        parse_names("servers.json", rb'[{"\ud800": []}]')
    assert str(refused.value).startswith("servers.json: [0]: expected a key that is valid Unicode, found ")


def test_json_tells_its_lines(tmp_path: Path) -> None:
    """But for a file that bears half of a surrogate pair, which only JSON can write."""
    file = tmp_path / "servers.json"
    wrong = f"[0].targets[0]: {EXPECTED_NAME}, found `true`"
    for label, line in (("x", ":4"), ("\N{GRINNING FACE}", "")):
        file.write_text(json.dumps([{"targets": [True], "labels": {label: ""}}], indent=1))
        files = ServerFiles([str(file)])
        files.refresh()
        assert said(files) == [f"{file}{line}: {wrong}"]


def test_the_configuration_goes_before_the_files() -> None:
    """A server that stands in both keeps the settings that it has in the configuration."""
    matrix, example = server_names("matrix.org", "example.org")
    own = WatchedServer(example, 60.0, Target("matrix.example.org", 443))
    config = Config(servers=(own,), probe=ProbeSettings(interval=120.0))
    assert merge_servers(config, (example, matrix)) == (own, WatchedServer(matrix, 120.0, None))
