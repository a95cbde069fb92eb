"""The interface of a server list, and how one is put together from entries that may be invalid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from exporter.config import Complaint
from exporter.model.names import ServerName
from exporter.model.servers import Labels

MAX_BYTES = 8 * 1024 * 1024  # of a file or a response; 200,000 names take 6 MiB
MAX_COMPLAINTS = 20  # of one list; the others are only counted
_MAX_LABEL_CHARACTERS = 2 * 1024 * 1024  # of all servers of a list; on /metrics, each stands in about 50 lines


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a server list."""

    servers: Mapping[ServerName, Labels] = field(default_factory=dict)
    """The valid names in the order of the list, with their labels."""
    rejected: int = 0
    """How many entries were left out because they are invalid, or because there are too many."""
    complaints: tuple[Complaint, ...] = ()
    """Why they were left out. If there are many, the last complaint says how many more there are."""
    left_out_labels: tuple[Complaint, ...] = ()
    """Labels that cannot be used, likewise. Their servers are watched all the same."""

    @property
    def is_usable(self) -> bool:
        """False if every entry is invalid. An empty list is usable."""
        return bool(self.servers) or not self.rejected


class ListingBuilder:
    """Collects the entries of a list, at most `max_servers` of them, and the first complaints.

    `max_complaints` applies to entries and to labels. `file` stands for the list in complaints.
    """

    def __init__(self, file: str, max_servers: int, max_complaints: int = MAX_COMPLAINTS) -> None:
        self._file = file
        self._max_servers = max_servers
        self._servers: dict[ServerName, Labels] = {}
        self._surplus = 0
        self._rejected = 0
        self._complaints = _FirstComplaints(file, max_complaints)
        self._left_out_labels = _FirstComplaints(file, max_complaints)
        self._room_for_labels = _MAX_LABEL_CHARACTERS

    def add(self, name: ServerName, labels: Labels = ()) -> None:
        """Add a server. If it is on the list twice, the first entry counts."""
        if name in self._servers:
            return
        if len(self._servers) >= self._max_servers:
            self._surplus += 1
            return
        size = sum(len(label) + len(value) for label, value in labels)
        if size > self._room_for_labels:
            labels, size = (), 0
            self.leave_label_out(self._no_room_for_labels)
        self._room_for_labels -= size
        self._servers[name] = labels

    def _no_room_for_labels(self) -> Complaint:
        sentence = f"expected labels of at most {_MAX_LABEL_CHARACTERS // 2**20} MiB, found more, which are left out"
        return Complaint(self._file, None, "", f"{sentence}: use fewer or shorter ones")

    def reject(self, complaint: Callable[[], Complaint], entries: int = 1) -> None:
        """Leave out one entry, or several for the same reason. `complaint` is called only if there are few so far."""
        self._rejected += entries
        self._complaints.add(complaint)

    def leave_label_out(self, complaint: Callable[[], Complaint]) -> None:
        self._left_out_labels.add(complaint)

    def listing(self) -> Listing:
        complaints = self._complaints.all("entries")
        if self._surplus:
            sentence = f"expected at most {self._max_servers} servers, found {self._surplus} more, which are left out"
            complaints.append(Complaint(self._file, None, "", f"{sentence}: shorten it or raise `lists.max_servers`"))
        left_out_labels = tuple(self._left_out_labels.all("labels"))
        return Listing(self._servers, self._rejected + self._surplus, tuple(complaints), left_out_labels)


class _FirstComplaints:
    """The first `at_most` complaints about a list, and how many more there are."""

    def __init__(self, file: str, at_most: int) -> None:
        self._file = file
        self._at_most = at_most
        self._first: list[Complaint] = []
        self._more = 0

    def add(self, complaint: Callable[[], Complaint]) -> None:
        """`complaint` is called only if there are few so far."""
        if len(self._first) < self._at_most:
            self._first.append(complaint())
        else:
            self._more += 1

    def all(self, what: str) -> list[Complaint]:
        if not self._more:
            return [*self._first]
        return [*self._first, Complaint(self._file, None, "", f"found {self._more} more invalid {what}")]


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
