"""The interface of a server list, and how one is put together from entries that may be invalid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from exporter.config import Complaint
from exporter.model.names import ServerName

MAX_BYTES = 8 * 1024 * 1024  # of a file or a response; 200,000 names take 6 MiB
MAX_COMPLAINTS = 20  # of one list; the others are only counted

Names: TypeAlias = tuple[ServerName, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a server list."""

    names: Names = ()
    """The valid names in the order of the list, without duplicates."""
    rejected: int = 0
    """How many entries were left out because they are invalid, or because there are too many."""
    complaints: tuple[Complaint, ...] = ()
    """Why they were left out. If there are many, the last complaint says how many more there are."""

    @property
    def is_usable(self) -> bool:
        """False if every entry is invalid. An empty list is usable."""
        return bool(self.names) or not self.rejected


class ListingBuilder:
    """Collects the entries of a list, at most `max_servers` of them, and the first `max_complaints` complaints.

    `file` stands for the list in complaints.
    """

    def __init__(self, file: str, max_servers: int, max_complaints: int = MAX_COMPLAINTS) -> None:
        self._file = file
        self._max_servers = max_servers
        self._max_complaints = max_complaints
        self._names: dict[ServerName, None] = {}
        self._surplus = 0
        self._rejected = 0
        self._complaints: list[Complaint] = []
        self._more = 0

    def add(self, name: ServerName) -> None:
        if len(self._names) < self._max_servers:
            self._names[name] = None
        elif name not in self._names:
            self._surplus += 1

    def reject(self, complaint: Callable[[], Complaint], entries: int = 1) -> None:
        """Leave out one entry, or several for the same reason. `complaint` is called only if there are few so far."""
        self._rejected += entries
        if len(self._complaints) < self._max_complaints:
            self._complaints.append(complaint())
        else:
            self._more += 1

    def listing(self) -> Listing:
        complaints = [*self._complaints]
        if self._more:
            complaints.append(Complaint(self._file, None, "", f"found {self._more} more invalid entries"))
        if self._surplus:
            sentence = f"expected at most {self._max_servers} servers, found {self._surplus} more, which are left out"
            complaints.append(Complaint(self._file, None, "", f"{sentence}: shorten it or raise `lists.max_servers`"))
        return Listing(tuple(self._names), self._rejected + self._surplus, tuple(complaints))


class ServerList(Protocol):
    """A list that is fetched over HTTP. Two lists are equal if they have the same settings."""

    @property
    def url(self) -> str:
        """The URL that identifies the list in the log and on /metrics."""

    @property
    def refresh_interval(self) -> float:
        """In seconds."""

    async def fetch(self) -> Listing:
        """Raises ListError if there is no list at all."""
