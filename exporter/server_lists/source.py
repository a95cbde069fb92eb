"""What a list is, wherever it comes from."""

from typing import Protocol, TypeAlias

from exporter.model.names import ServerName

Names: TypeAlias = tuple[ServerName, ...]


class ServerList(Protocol):
    """One that is equal to another is the same list, asked in the same way."""

    @property
    def url(self) -> str:
        """By which it is known, in the log and on /metrics."""

    @property
    def refresh_interval(self) -> float:
        """Seconds."""

    async def names(self) -> Names:
        """Raises ListError."""
