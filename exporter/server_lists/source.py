"""The interface of a server list."""

from typing import Protocol, TypeAlias

from exporter.model.names import ServerName

Names: TypeAlias = tuple[ServerName, ...]


class ServerList(Protocol):
    """A list that is fetched over HTTP. Two lists are equal if they have the same settings."""

    @property
    def url(self) -> str:
        """The URL that identifies the list in the log and on /metrics."""

    @property
    def refresh_interval(self) -> float:
        """In seconds."""

    async def names(self) -> Names:
        """Fetch the list. Raises ListError."""
