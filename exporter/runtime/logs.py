"""The log: logfmt or JSON on standard error, with one line for each event of the exporter and of its libraries."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from exporter.runtime.log_handler import LogHandler
from exporter.runtime.log_options import LogFormat, LogLevel

log = structlog.get_logger()


_RENDERERS: dict[LogFormat, Processor] = {
    LogFormat.LOGFMT: structlog.processors.LogfmtRenderer(key_order=["time", "level", "msg"], bool_as_flag=False),
    LogFormat.JSON: structlog.processors.JSONRenderer(),
}
LIBRARIES = {
    "apscheduler": logging.ERROR,  # it warns of skipped probes, which `scheduling.schedule` logs itself
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "uvicorn": logging.ERROR,  # it warns of every mistake of a client, and a client may make as many as it likes
}
"""The lowest level of each library. Events below it are noise at every level of the exporter."""
ACCESS_LOG = "uvicorn.access"


def configure(level: LogLevel, log_format: LogFormat, stream: TextIO = sys.stderr) -> None:
    """Configure logging for the whole process. Only the command line and the workers may call it."""
    lowest = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
    )
    handler = LogHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[*_FIELDS, _RENDERERS[log_format]]))
    logging.basicConfig(level=lowest, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, library_lowest in LIBRARIES.items():
        logging.getLogger(name).setLevel(max(lowest, library_lowest))
    logging.getLogger(ACCESS_LOG).setLevel(logging.INFO if level is LogLevel.DEBUG else logging.WARNING)


def _escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Escape unprintable characters in all values, as Python does: a terminal could execute them.

    Line breaks are escaped by the renderers.
    """
    return {
        key: value if isinstance(value, int | float | None) else _escaped(str(value)) for key, value in event.items()
    }


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


_FIELDS: tuple[Processor, ...] = (
    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.EventRenamer("msg"),
    structlog.processors.format_exc_info,
    _escape,
)
