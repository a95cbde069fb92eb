"""What an administrator writes, and what lists of servers say."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from exporter.config import Complaint, Config, ConfigError, SynapseDestinations, load
from exporter.model.names import ServerName
from exporter.server_lists import file_sd, synapse
from exporter.server_lists.fetch import ListError
from exporter.server_lists.synapse import SynapseList
from exporter.web.settings import loading
from exporter.web.settings.loading import WatchedFiles, WebConfig
from tests.fuzz.targets.judging import one_line, run


@cache
def folder() -> tuple[TemporaryDirectory[str], Path]:
    """With a token in it; what it is made of goes when the process does."""
    made = TemporaryDirectory(prefix="fuzz-")
    path = Path(made.name)
    (path / "token").write_text("secret\n")
    return made, path


def file_of(written: bytes) -> Path:
    path = folder()[1] / "file.yaml"
    path.write_bytes(written)
    return path


@contextmanager
def or_good_complaints(file: str, written: bytes) -> Iterator[None]:
    """Each is one line that bears the name of the file, and a line that is in it unless it is about all of it."""
    try:
        yield
    except ConfigError as error:
        are_good(error.complaints, file, written)


def are_good(complaints: Sequence[Complaint], file: str, written: bytes) -> None:
    assert complaints
    lines = len(written.decode(errors="replace").splitlines())
    for complaint in complaints:
        assert complaint.file == file
        assert complaint.line is None or 1 <= complaint.line <= lines + 1
        assert complaint.sentence
        one_line(str(complaint))


def config(written: bytes) -> None:
    """A whole configuration, or complaints that say where."""
    path = file_of(written)
    with or_good_complaints(str(path), written):
        assert isinstance(load(path), Config)


def web_config(written: bytes) -> None:
    path = file_of(written)
    with or_good_complaints(str(path), written):
        assert isinstance(loading.load(path, WatchedFiles()), WebConfig)


def server_file(written: bytes) -> None:
    """In YAML and in JSON: names, or complaints that say where."""
    for path in ("servers.yaml", "servers.json"):
        with or_good_complaints(path, written):
            are_names(file_sd.parse_names(path, written))


def destinations(written: bytes) -> None:
    """The answer of Synapse's admin API, to the end of its pages."""
    settings = SynapseDestinations("https://matrix.example.org", folder()[1] / "token", failing_at_most=3600.0)

    async def get(*_: object) -> bytes:
        return written

    with mock.patch.object(synapse, "get", get):
        try:
            are_names(run(SynapseList(settings).names()))
        except ListError as error:
            one_line(str(error))


def are_names(found: Iterable[ServerName]) -> None:
    assert all(isinstance(name, ServerName) for name in found)
