"""Reads the server files again and again, and records in metrics and in the log how that went."""

from collections.abc import Sequence

import structlog

from exporter.metrics.exporter_metrics import ExporterMetrics
from exporter.server_lists.file_sd import ServerFile, ServerFiles
from exporter.server_lists.parse_thread import parse
from exporter.server_lists.source import Listing

log = structlog.get_logger()


class FileFollower:
    """The server files that a configuration names."""

    def __init__(self, exporter_metrics: ExporterMetrics) -> None:
        self._files = ServerFiles(())
        self._exporter_metrics = exporter_metrics

    def __repr__(self) -> str:
        return f"<FileFollower {', '.join(self._files.files) or 'none'}>"

    def listings(self, patterns: Sequence[str]) -> Sequence[Listing]:
        """Return the contents of the files that match some of the patterns."""
        return self._files.listings(patterns)

    def follow(self, patterns: Sequence[str], max_servers: int) -> None:
        """Read other files from now on."""
        self._files.patterns, self._files.max_servers = tuple(patterns), max_servers

    async def refresh(self) -> bool:
        """Read the files again. Return whether anything has changed."""
        before = self._files.files
        changed = await parse(self._files.refresh)
        for path in before.keys() - self._files.files.keys():
            self._exporter_metrics.remove_list(path)
        for path, file in self._files.files.items():
            self._record(path, file)
        if changed:
            self._log_complaints()
        return changed

    def _record(self, path: str, file: ServerFile) -> None:
        self._exporter_metrics.add_list(path)
        servers, rejected = len(file.listing.servers), file.listing.rejected
        self._exporter_metrics.record_list(path, servers, rejected, is_applied=file.is_applied)

    def _log_complaints(self) -> None:
        for complaint in self._files.unmatched:
            log.warning("server file not applied", complaint=str(complaint))
        for path, file in self._files.files.items():
            event = "entry of a server list left out" if file.is_applied else "server file not applied"
            for complaint in file.listing.complaints:
                log.warning(event, list=path, complaint=str(complaint))
            for complaint in file.listing.left_out_labels:
                log.warning("label of a server list left out", list=path, complaint=str(complaint))
