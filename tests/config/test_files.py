"""Files that are no configuration at all, and files that are made to do harm."""

import os
from pathlib import Path

import pytest

from exporter import config
from exporter.config import ConfigError, files
from exporter.config.document import parse_json, parse_yaml

DEEP = 100_000


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        config.load(path)
    return str(refused.value)


def test_a_missing_file_is_told() -> None:
    """Without a line: there is none."""
    path = Path("/nonexistent/config.yaml")
    assert refusal(path) == f"{path}: expected a file, found nothing of that name: check the path"


def test_a_directory_is_told(tmp_path: Path) -> None:
    """And not read."""
    assert refusal(tmp_path) == f"{tmp_path}: expected a file, found a directory"


def test_a_file_that_cannot_be_opened_is_told_in_the_words_of_the_system(tmp_path: Path) -> None:
    """Here a symbolic link to itself."""
    path = tmp_path / "config.yaml"
    path.symlink_to(path)
    assert refusal(path) == f"{path}: expected a readable file, found an error: Too many levels of symbolic links"


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system refuses it; simulated, because root may read everything."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    path = tmp_path / "config.yaml"
    assert refusal(path) == (
        f"{path}: expected a file that the exporter may read, found one that its user may not: check owner and mode"
    )


@pytest.mark.parametrize("content", ["", "\n", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_is_told(content: str, tmp_path: Path) -> None:
    """Whether of bytes or of meaning."""
    path = tmp_path / "config.yaml"
    path.write_text(content, encoding="utf-8")
    assert refusal(path) == f"{path}: expected YAML, found nothing: the file is empty"


@pytest.mark.parametrize(
    ("content", "said"),
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
def test_what_is_no_text_is_told_with_its_line(content: bytes, said: str, tmp_path: Path) -> None:
    """Before any YAML is looked for."""
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert refusal(path) == f"{path}:{said}"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """One byte more than is allowed, all of them zeros."""
    path = tmp_path / "config.yaml"
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), files.MAX_BYTES + 1)
    assert refusal(path) == f"{path}: expected a file of at most 64 MiB, found a larger one"


@pytest.mark.parametrize("content", ["- " * DEEP, "[" * DEEP, "{a: " * DEEP, "a:\n" + "- " * DEEP])
def test_deep_nesting_is_refused(content: str) -> None:
    """It would exhaust the stack, which no `except` survives."""
    with pytest.raises(ConfigError) as refused:
        parse_yaml("config.yaml", content)
    assert str(refused.value) in {
        f"config.yaml:{line}: expected at most 20 levels of lists and mappings, found more" for line in (1, 2)
    }


def test_aliases_are_refused_before_they_multiply() -> None:
    """The billion laughs: nine lines that stand for a thousand million texts. An anchor alone does no harm."""
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigError) as refused:
        parse_yaml("config.yaml", "\n".join(lines))
    assert str(refused.value) == "config.yaml:2: found the alias `*a0`, which is not supported: write the value out"
    assert parse_yaml("config.yaml", lines[0]).root == {"a0": ["lol"]}


def test_a_tag_builds_no_object() -> None:
    """YAML can name Python classes; here they are odd values, and nothing more."""
    root = parse_yaml("config.yaml", "a: !!python/object/apply:os.getcwd []").root
    assert str(root) == "{'a': UnsupportedScalar(text='!!python/object/apply:os.getcwd', read_as='a tag')}"


def test_what_is_shown_of_a_value_is_bounded_and_printable(tmp_path: Path) -> None:
    """A message is one line that a terminal cannot act on."""
    path = tmp_path / "config.yaml"
    path.write_text('servers: ["\\e[31m' + "x" * 1000 + '\\n"]', encoding="utf-8")
    assert refusal(path) == (
        f"{path}:1: servers[0]: expected a server name such as example.org or example.org:8448,"
        f" found `\N{REPLACEMENT CHARACTER}[31m{'x' * 74}…`: only letters, digits, '-' and '.' are allowed in a name"
    )


@pytest.mark.parametrize("end", ["\r", "\x85", "\u2028", "\u2029"])
def test_lines_end_as_yaml_says(end: str) -> None:
    """So a syntax error may be further down than there are newlines."""
    with pytest.raises(ConfigError) as refused:
        parse_yaml("config.yaml", f"a: b{end * 3}- c")
    assert str(refused.value).startswith("config.yaml:4: this is not YAML")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ":1: this is not JSON: Expecting value"),
        ('[{"targets": [\n"example.org",\n]}]', ":3: this is not JSON: Expecting value"),
        ("[" * DEEP, ": this JSON cannot be read: it is nested too deeply, or holds too long a number"),
        ("1" * DEEP, ": this JSON cannot be read: it is nested too deeply, or holds too long a number"),
        ("[" * 30 + "]" * 30, ":1: expected at most 20 levels of lists and mappings, found more"),
    ],
)
def test_what_is_no_json_is_told(content: str, said: str) -> None:
    """With its line, where there is one."""
    with pytest.raises(ConfigError) as refused:
        parse_json("servers.json", content)
    assert str(refused.value) == f"servers.json{said}"
