"""Files that cannot be parsed at all, and files that were made to do harm."""

import os
from pathlib import Path

import pytest

from exporter import config
from exporter.config import ConfigError, files, yaml_reader
from exporter.config.document import parse_json, parse_yaml
from exporter.config.yaml_reader import MAX_VALUES, UnsupportedScalar

DEEP = 100_000


def complaints_about(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        config.load(path)
    return str(raised.value)


def test_a_missing_file_is_reported() -> None:
    """The complaint has no line number."""
    path = Path("/nonexistent/config.yaml")
    assert complaints_about(path) == f"{path}: expected a file, found none with this name: check the path"


def test_a_directory_is_reported(tmp_path: Path) -> None:
    assert complaints_about(tmp_path) == f"{tmp_path}: expected a file, found a directory"


def test_another_error_is_reported_in_the_words_of_the_system(tmp_path: Path) -> None:
    """The file is a symbolic link to itself."""
    path = tmp_path / "config.yaml"
    path.symlink_to(path)
    assert (
        complaints_about(path) == f"{path}: expected a readable file, found an error: Too many levels of symbolic links"
    )


def test_missing_permission_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is simulated, because root may read every file."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    path = tmp_path / "config.yaml"
    assert complaints_about(path) == (
        f"{path}: expected a file that the exporter can read, found one that it cannot: check its owner and mode"
    )


@pytest.mark.parametrize("content", ["", "\n", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_is_reported(content: str, tmp_path: Path) -> None:
    """A file with only comments is empty too."""
    path = tmp_path / "config.yaml"
    path.write_text(content, encoding="utf-8")
    assert complaints_about(path) == f"{path}: expected YAML, found an empty file"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            "servers:\n  - münchen.example\n".encode("latin-1"),
            "2: expected UTF-8, found the byte 0xfc: save the file as UTF-8",
        ),
        ("servers: []".encode("utf-16"), "1: expected UTF-8, found the byte 0xff: save the file as UTF-8"),
        (b"servers:\n  - a\0b\n", "2: expected text, found the control character 0x00: remove it"),
        (b"servers:\n\n  - a\x1bb\n", "3: expected text, found the control character 0x1b: remove it"),
        (b"a: \xc2\x9b\n", "1: expected text, found the control character 0x9b: remove it"),
        (b"a: b\nc: \xef\xbf\xbe", "2: expected text, found the control character 0xfffe: remove it"),
        (b"\x7fELF\x02", "1: expected text, found the control character 0x7f: remove it"),
    ],
)
def test_content_that_is_not_text_is_reported_with_its_line(content: bytes, complaint: str, tmp_path: Path) -> None:
    """The text is checked before it is parsed as YAML."""
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert complaints_about(path) == f"{path}:{complaint}"


def test_a_file_above_the_size_limit_is_refused(tmp_path: Path) -> None:
    """The file is one byte too large, and sparse."""
    path = tmp_path / "config.yaml"
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), files.MAX_BYTES + 1)
    assert complaints_about(path) == f"{path}: expected a file of at most 64 MiB, found a larger one"


@pytest.mark.parametrize("content", ["- " * DEEP, "[" * DEEP, "{a: " * DEEP, "a:\n" + "- " * DEEP])
def test_deep_nesting_is_refused(content: str) -> None:
    """Parsing it would overflow the stack, which crashes the process."""
    with pytest.raises(ConfigError) as raised:
        parse_yaml("config.yaml", content)
    assert str(raised.value) in {
        f"config.yaml:{line}: expected at most 20 levels of lists and mappings, found more" for line in (1, 2)
    }


def test_aliases_are_refused_before_they_expand() -> None:
    """In a billion laughs attack, ten lines expand to a billion strings. An anchor without an alias is allowed."""
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError) as raised:
        parse_yaml("config.yaml", "\n".join(lines))
    assert str(raised.value) == "config.yaml:2: found the alias `*a0`, which is not supported: write the value out"
    assert parse_yaml("config.yaml", lines[0]).root == {"a0": ["lol"]}


def test_a_tag_does_not_create_an_object() -> None:
    """YAML can name Python classes, which become unsupported values."""
    root = parse_yaml("config.yaml", "a: !!python/object/apply:os.getcwd []").root
    assert str(root) == "{'a': UnsupportedScalar(text='!!python/object/apply:os.getcwd', read_as='a tag')}"


def test_a_value_is_shown_bounded_and_printable(tmp_path: Path) -> None:
    """A complaint is one line, without escape sequences for a terminal."""
    path = tmp_path / "config.yaml"
    path.write_text('servers: ["\\e[31m' + "x" * 1000 + '\\n"]', encoding="utf-8")
    assert complaints_about(path) == (
        f"{path}:1: servers[0]: expected a server name such as example.org or example.org:8448,"
        f" found `\N{REPLACEMENT CHARACTER}[31m{'x' * 74}…`: only letters, digits, '-' and '.' are allowed in a name"
    )


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029"])
def test_lines_are_counted_with_the_line_breaks_of_yaml(end: str) -> None:
    """YAML has more line breaks than the newline."""
    with pytest.raises(ConfigError) as raised:
        parse_yaml("config.yaml", f"a: b{end * 3}- c")
    assert str(raised.value).startswith("config.yaml:4: invalid YAML: ")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", ":1: invalid JSON: Expecting value"),
        ('[{"targets": [\n"example.org",\n]}]', ":3: invalid JSON: Expecting value"),
        ("[" * DEEP, ": cannot parse this JSON: it is nested too deeply, or contains a number that is too long"),
        ("1" * DEEP, ": cannot parse this JSON: it is nested too deeply, or contains a number that is too long"),
    ],
)
def test_invalid_json_is_reported(content: str, complaint: str) -> None:
    """The complaint has a line number if the parser reports one."""
    with pytest.raises(ConfigError) as raised:
        parse_json("servers.json", content)
    assert str(raised.value) == f"servers.json{complaint}"


# ---------------------------------------------------------------- bounds


def test_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON is not even parsed then. Keys, lists and mappings count as values."""
    monkeypatch.setattr(yaml_reader, "MAX_VALUES", 5)
    assert parse_yaml("servers.yaml", "[a, b: c]").root == ["a", {"b": "c"}]
    with pytest.raises(ConfigError) as raised:
        parse_yaml("servers.yaml", "- a\n- b: c\n- d")
    assert str(raised.value) == f"servers.yaml:3: {yaml_reader.TOO_MANY_VALUES}"
    with pytest.raises(ConfigError) as raised:
        parse_json("servers.json", "[" + "," * MAX_VALUES)
    assert str(raised.value) == "servers.json: expected at most 300000 values, found more: split the list"


def test_only_so_many_duplicate_keys_are_listed() -> None:
    """Each complaint takes as much memory as a dozen keys."""
    assert len(parse_yaml("servers.yaml", "{" + "a: 1, " * 2000 + "}").complaints) == 1000


def test_a_long_scalar_is_a_string() -> None:
    """PyYAML would compare it with the patterns of numbers and dates, which takes a third of a second for 8 MiB."""
    digits = "1" * 1001
    assert parse_yaml("servers.yaml", f"- {digits}\n- 0{digits[:20]}").root == [
        digits,
        UnsupportedScalar(f"0{digits[:20]}", "a number"),
    ]


def test_the_lines_of_large_json_are_not_known() -> None:
    """To find them takes much longer than to parse it."""
    small, large = (parse_json("servers.json", f'[\n"{"x" * length}"]') for length in (1000, 256 * 1024))
    assert (small.line((0,)), large.line((0,))) == (2, None)
