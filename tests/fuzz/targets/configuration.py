"""Configuration files and server lists."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from exporter.config import Complaint, Config, ConfigError, SynapseDestinations, load
from exporter.model.names import ServerName
from exporter.server_lists import file_sd, synapse
from exporter.server_lists.fetch import ListError
from exporter.server_lists.source import Listing
from exporter.server_lists.synapse import SynapseList
from exporter.web.settings import loading
from exporter.web.settings.loading import WatchedFiles, WebConfig
from tests.fuzz.targets.checks import check_sentence, run


@cache
def folder() -> tuple[TemporaryDirectory[str], Path]:
    """Return a folder with a token file. It is removed when the process ends."""
    temporary = TemporaryDirectory(prefix="fuzz-")
    path = Path(temporary.name)
    (path / "token").write_text("secret\n")
    return temporary, path


def write_file(data: bytes) -> Path:
    path = folder()[1] / "file.yaml"
    path.write_bytes(data)
    return path


@contextmanager
def checking_complaints(file: str, data: bytes) -> Iterator[None]:
    """Check the complaints of a ConfigError: each has the name of the file, and a line in it or none."""
    try:
        yield
    except ConfigError as error:
        check_complaints(error.complaints, file, data)


def check_complaints(complaints: Sequence[Complaint], file: str, data: bytes) -> None:
    assert complaints
    lines = len(data.decode(errors="replace").splitlines())
    for complaint in complaints:
        assert complaint.file == file
        assert complaint.line is None or 1 <= complaint.line <= lines + 1
        assert complaint.sentence
        check_sentence(str(complaint))


def config(data: bytes) -> None:
    """A configuration, or complaints."""
    path = write_file(data)
    with checking_complaints(str(path), data):
        assert isinstance(load(path), Config)


def web_config(data: bytes) -> None:
    path = write_file(data)
    with checking_complaints(str(path), data):
        assert isinstance(loading.load(path, WatchedFiles()), WebConfig)


def server_file(data: bytes) -> None:
    """The names in a YAML and in a JSON file, and complaints about what was left out; or only complaints."""
    for path in ("servers.yaml", "servers.json"):
        with checking_complaints(path, data):
            listing = file_sd.read_file(path, data, max_servers=3)
            check_listing(listing)
            if listing.complaints:
                check_complaints(listing.complaints, path, data)


def destinations(data: bytes) -> None:
    """The response of Synapse's admin API, for every page."""
    settings = SynapseDestinations("https://matrix.example.org", folder()[1] / "token", failing_at_most=3600.0)

    async def get(*_: object) -> bytes:
        return data

    with mock.patch.object(synapse, "get", get):
        try:
            check_listing(run(SynapseList(settings, max_servers=3).fetch()))
        except ListError as error:
            check_sentence(str(error))


def check_listing(listing: Listing) -> None:
    """What is left out is counted, and has a complaint."""
    assert all(isinstance(name, ServerName) for name in listing.servers)
    assert len(listing.servers) <= 3
    assert bool(listing.rejected) == bool(listing.complaints)
    for complaint in listing.complaints:
        check_sentence(str(complaint))
