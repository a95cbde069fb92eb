"""Server names from files in Prometheus's file_sd format."""

import json
from pathlib import Path

import pytest

from exporter.config import Complaint
from exporter.model import names
from exporter.model.names import ServerName
from exporter.server_lists.file_sd import ServerFiles, read_file
from exporter.server_lists.source import MAX_BYTES

ONE_ENTRY_A_LINE = "write each entry as `key: value` on a line of its own"
EXPECTED_NAME = "expected a server name such as example.org or example.org:8448"
NO_NAME = "only letters, digits, '-' and '.' are allowed in a name"
BLANKS = "a server name has no blanks: remove them"


def server_names(*texts: str) -> tuple[ServerName, ...]:
    return tuple(map(names.parse, texts))


def names_of(files: ServerFiles) -> tuple[ServerName, ...]:
    """Return the names in all files, sorted, without duplicates."""
    return tuple(sorted({name for listing in files.listings(files.patterns) for name in listing.servers}, key=str))


def complaints(files: ServerFiles) -> list[str]:
    return [str(complaint) for complaint in files.complaints]


@pytest.fixture
def server_files(tmp_path: Path) -> ServerFiles:
    """Return the YAML and JSON files of an empty folder."""
    return ServerFiles([f"{tmp_path}/*.yaml", f"{tmp_path}/*.json"])


def test_names_of_all_files_are_sorted_without_duplicates(server_files: ServerFiles, tmp_path: Path) -> None:
    """Files may be YAML or JSON, with a byte order mark, with several groups, and with labels that cannot be used."""
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
    assert (names_of(server_files), complaints(server_files)) == (
        server_names("[2001:db8::1]:8448", "a.example", "example.org", "matrix.org"),
        [],
    )


def test_labels_are_kept(server_files: ServerFiles, tmp_path: Path) -> None:
    """Scalars become text, as in Prometheus, and a label without a value is none. Labels for relabeling are dropped."""
    (tmp_path / "servers.yaml").write_text("""
- targets: [a.example, b.example]
  labels: {team: chat, rack: 12, on: yes, empty: "", nothing: , __meta_zone: x}
- targets: [c.example]
- targets: [a.example]
  labels: {team: other}
""")
    server_files.refresh()
    (listing,) = server_files.listings(server_files.patterns)
    labels = (("on", "yes"), ("rack", "12"), ("team", "chat"))
    assert {str(name): of_name for name, of_name in listing.servers.items()} == {
        "a.example": labels,
        "b.example": labels,
        "c.example": (),
    }
    assert (listing.complaints, listing.left_out_labels) == ((), ())


def test_labels_that_cannot_be_used_are_left_out(server_files: ServerFiles, tmp_path: Path) -> None:
    """Their servers are watched all the same, and each label is told with its line."""
    file = tmp_path / "servers.json"
    wrong = {"job": "x", "server_name": "x", "a-b": "x", "list": ["x"], "large": "x" * 129, "lines": "1\n2"}
    file.write_text(json.dumps([{"targets": ["a.example"], "labels": {**wrong, "team": "chat"}}], indent=1))
    server_files.refresh()
    (listing,) = server_files.listings(server_files.patterns)
    assert dict(listing.servers) == {names.parse("a.example"): (("team", "chat"),)}
    assert (listing.rejected, listing.complaints) == (0, ())
    assert [str(complaint).split(": ")[:2] for complaint in listing.left_out_labels] == [
        [f"{file}:{line}", f"[0].labels.{name}" if name.isidentifier() else f'[0].labels["{name}"]']
        for line, name in zip((7, 8, 9, 10, 13, 14), wrong, strict=True)
    ]


def test_labels_are_bounded() -> None:
    """A list may be somebody else's, and each label stands in all series of a server."""
    labels = {f"label_{number:02}": "x" * 128 for number in range(20)}
    targets = [f"s{number}.example" for number in range(2000)]
    listing = read_file("servers.json", json.dumps([{"targets": targets, "labels": labels}]).encode(), 5000)
    sizes = [sum(map(len, (text for label in of_name for text in label))) for of_name in listing.servers.values()]
    assert (len(sizes), listing.rejected) == (2000, 0)
    assert sizes[0] == 16 * (8 + 128)
    assert 2 * 2**20 - 16 * (8 + 128) < sum(sizes) <= 2 * 2**20
    assert str(listing.left_out_labels[-1]).startswith("servers.json: found ")
    assert len(listing.left_out_labels) == 21


def test_a_pattern_that_matches_nothing_is_a_complaint(server_files: ServerFiles, tmp_path: Path) -> None:
    """Otherwise a typing error in a path would go unnoticed."""
    server_files.refresh()
    sentence = "expected a file, found none that matches: check the path in `server_files`"
    assert (names_of(server_files), server_files.complaints) == (
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
    assert (files.refresh(), names_of(files)) == (True, server_names("example.net"))


UNUSABLE = {
    "not YAML": ("- targets: [example.org\n", ":2: invalid YAML: ", 0),
    "only a wrong name": (
        "- targets:\n  - example_org\n",
        f":2: [0].targets[0]: {EXPECTED_NAME}, found `example_org`: {NO_NAME}",
        1,
    ),
    "not a name": (
        "- targets: [5]\n",
        f":1: [0].targets[0]: {EXPECTED_NAME}, found the number 5: put it in quotes",
        1,
    ),
    "only an invalid group": (
        "- target: [a.example, b.example]\n",
        ":1: [0].target: unknown key `target`, did you mean `targets`?",
        1,
    ),
    "not a list": ("targets: [example.net]\n", ":1: expected a list, found a mapping: begin each item with `- `", 0),
    "empty": ("", ": expected YAML, found an empty file", 0),
    "a control character": ("- targets: [\x01]\n", ":1: expected text, found the control character 0x01: remove it", 0),
}


@pytest.mark.parametrize(("content", "complaint", "rejected"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_file_keeps_the_names_of_its_last_usable_content(
    content: str, complaint: str, rejected: int, tmp_path: Path
) -> None:
    """It has one complaint until it is repaired."""
    file = tmp_path / "servers.yaml"
    files = ServerFiles([str(file)])
    file.write_text("- targets: [example.org]")
    files.refresh()
    file.write_text(content)
    assert (files.refresh(), names_of(files)) == (True, server_names("example.org"))
    assert [line.startswith(f"{file}{complaint}") for line in complaints(files)] == [True]
    assert (files.files[str(file)].is_applied, files.files[str(file)].listing.rejected) == (False, rejected)
    assert not files.refresh()
    file.write_text("- targets: [example.com]")
    assert (files.refresh(), names_of(files), complaints(files)) == (True, server_names("example.com"), [])


PARTLY_INVALID = {
    "a wrong name": (
        "- targets: [a.example, example_org, b.example]\n",
        1,
        [f":1: [0].targets[1]: {EXPECTED_NAME}, found `example_org`: {NO_NAME}"],
    ),
    "names of other types": (
        "- targets: [a.example, 5, {a: b}, , b.example]\n".replace(" ,", " '',"),
        3,
        [
            f":1: [0].targets[1]: {EXPECTED_NAME}, found the number 5: put it in quotes",
            f":1: [0].targets[2]: {EXPECTED_NAME}, found a mapping",
            f":1: [0].targets[3]: {EXPECTED_NAME}, found an empty string: the host is empty",
        ],
    ),
    "an unknown key": (
        "- targets: [a.example, b.example]\n- target: [c.example]\n  targets: [d.example, e.example]\n",
        2,
        [":2: [1].target: unknown key `target`, did you mean `targets`?"],
    ),
    "a group with several errors": (
        "- {targets: c.example, labels: [], team: x}\n- targets: [a.example, b.example]\n",
        1,
        [
            ":1: [0].targets: expected a list, found `c.example`: begin each item with `- `",
            f":1: [0].labels: expected a mapping, found an empty list: {ONE_ENTRY_A_LINE}",
            ":1: [0].team: unknown key `team`, the possible keys are targets, labels",
        ],
    ),
    "a name without a group": (
        "- c.example\n- targets: [a.example, b.example]\n",
        1,
        [":1: [0]: expected a mapping with any of the keys targets, labels, found `c.example`"],
    ),
    "a duplicate key": (
        "- targets: [c.example]\n  targets: [a.example, b.example]\n",
        1,
        [":2: [0].targets: this key is already used on line 1: remove one of them"],
    ),
}


@pytest.mark.parametrize(("content", "rejected", "expected"), PARTLY_INVALID.values(), ids=PARTLY_INVALID)
def test_invalid_entries_are_left_out(content: str, rejected: int, expected: list[str], tmp_path: Path) -> None:
    """All others are watched, also after a restart. A group that is itself invalid is left out with its targets."""
    file = tmp_path / "servers.yaml"
    file.write_text(content)
    files = ServerFiles([str(file)])
    assert (files.refresh(), names_of(files)) == (True, server_names("a.example", "b.example"))
    assert complaints(files) == [f"{file}{complaint}" for complaint in expected]
    assert (files.files[str(file)].is_applied, files.files[str(file)].listing.rejected) == (True, rejected)


def test_one_invalid_name_among_many_costs_only_itself() -> None:
    """Prometheus users write `https://` by habit: 249 of 250 servers are watched."""
    targets = [f"server-{number}.example.org" for number in range(249)]
    content = json.dumps([{"targets": [*targets[:100], "https://x.example.org", *targets[100:]]}], indent=1).encode()
    listing = read_file("servers.json", content, 1000)
    assert (tuple(listing.servers), listing.rejected) == (server_names(*targets), 1)
    (complaint,) = listing.complaints
    assert str(complaint) == (
        f"servers.json:104: [0].targets[100]: {EXPECTED_NAME}, found `https://x.example.org`: this is a URL:"
        " drop the scheme and the path"
    )


# ---------------------------------------------------------------- bounds


def test_only_the_first_complaints_are_kept() -> None:
    """The others are counted. `check-config` asks for all."""
    content = json.dumps(
        [{"targets": ["example.org", *(f"x_{number}" for number in range(50)), "example.net"]}]
    ).encode()
    listing = read_file("servers.json", content, 1000)
    assert (len(tuple(listing.servers)), listing.rejected, len(listing.complaints)) == (2, 50, 21)
    assert str(listing.complaints[-1]) == "servers.json: found 30 more invalid entries"
    assert len(read_file("servers.json", content, 1000, max_complaints=1000).complaints) == 50


def test_servers_above_the_limit_are_left_out() -> None:
    """The first ones are watched. A name that is already among them is not left out."""
    listing = read_file("servers.yaml", b"- targets: [a.example, b.example, c.example, a.example, d.example]", 2)
    assert (tuple(listing.servers), listing.rejected) == (server_names("a.example", "b.example"), 2)
    (complaint,) = listing.complaints
    assert str(complaint) == (
        "servers.yaml: expected at most 2 servers, found 2 more, which are left out: shorten it or raise"
        " `lists.max_servers`"
    )


def test_a_new_limit_applies_to_a_file_that_has_not_changed(tmp_path: Path) -> None:
    """A reload of the configuration may change the limit."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [a.example, b.example]")
    files = ServerFiles([str(file)], max_servers=1)
    files.refresh()
    files.max_servers = 2
    assert (files.refresh(), names_of(files)) == (True, server_names("a.example", "b.example"))


def test_a_file_above_the_size_limit_is_not_used(tmp_path: Path) -> None:
    """The file is one byte too large, and sparse."""
    file = tmp_path / "servers.json"
    with file.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    files = ServerFiles([str(file)])
    files.refresh()
    assert complaints(files) == [f"{file}: expected a file of at most 8 MiB, found a larger one"]


# ---------------------------------------------------------------- changes


def test_invalid_entries_of_a_file_do_not_affect_other_files(server_files: ServerFiles, tmp_path: Path) -> None:
    """A file that was never usable has no names."""
    (tmp_path / "a.yaml").write_text("- targets: [5 5]\n")
    (tmp_path / "b.json").write_text('[{"targets": ["example.org"]}]')
    server_files.refresh()
    assert names_of(server_files) == server_names("example.org")
    assert complaints(server_files) == [f"{tmp_path}/a.yaml:1: [0].targets[0]: {EXPECTED_NAME}, found `5 5`: {BLANKS}"]


def test_an_unreadable_file_keeps_the_names_of_its_last_valid_content(tmp_path: Path) -> None:
    """A folder replaces it here. The same content afterwards is valid again."""
    file = tmp_path / "servers.yaml"
    file.write_text("- targets: [example.org]")
    files = ServerFiles([str(file)])
    files.refresh()
    file.unlink()
    file.mkdir()
    assert (files.refresh(), names_of(files)) == (True, server_names("example.org"))
    assert complaints(files) == [f"{file}: expected a file, found a directory"]
    file.rmdir()
    file.write_text("- targets: [example.org]")
    assert (files.refresh(), names_of(files), complaints(files)) == (True, server_names("example.org"), [])


def test_a_removed_file_loses_its_names(server_files: ServerFiles, tmp_path: Path) -> None:
    """It does even if it was broken before."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"- targets: [{name}.example]")
    (tmp_path / "c.json").write_text("[]")
    server_files.refresh()
    (tmp_path / "a.yaml").write_text("broken")
    server_files.refresh()
    (tmp_path / "a.yaml").unlink()
    assert (server_files.refresh(), names_of(server_files), complaints(server_files)) == (
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
    assert names_of(files) == server_names("example.org")


@pytest.mark.parametrize("file", ["servers.json", "servers.yaml"])
def test_the_last_one_of_duplicate_keys_counts(file: str) -> None:
    """Its values count, and so do their lines."""
    listing = read_file(file, b'[{"targets": [],\n"targets": ["example.org",\n"example_org"]}]', 10)
    wrong = f"[0].targets[1]: {EXPECTED_NAME}, found `example_org`: {NO_NAME}"
    assert (tuple(listing.servers), str(listing.complaints[-1])) == (server_names("example.org"), f"{file}:3: {wrong}")


def test_a_key_with_an_unpaired_surrogate_is_unknown() -> None:
    """Only JSON can contain one. It is not shown, because it cannot be encoded."""
    (complaint,) = read_file("servers.json", rb'[{"\ud800": []}]', 10).complaints
    sentence = "unknown key `?`, the possible keys are targets, labels"
    assert str(complaint).replace("\N{REPLACEMENT CHARACTER}", "?") == f'servers.json: [0]["?"]: {sentence}'


def test_complaints_about_json_have_lines(tmp_path: Path) -> None:
    """Complaints about a file with an escaped surrogate pair, which only JSON can contain, have none."""
    file = tmp_path / "servers.json"
    wrong = f"[0].targets[0]: {EXPECTED_NAME}, found `true`"
    for label, line in (("x", ":4"), ("\N{GRINNING FACE}", "")):
        file.write_text(json.dumps([{"targets": [True], "labels": {label: ""}}], indent=1))
        files = ServerFiles([str(file)])
        files.refresh()
        assert complaints(files) == [f"{file}{line}: {wrong}"]
