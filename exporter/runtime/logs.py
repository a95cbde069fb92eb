"""What goes to the log: logfmt or JSON on standard error, one line for each event, ours and those of the libraries."""

import logging
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from exporter.judging import verdict
from exporter.model.report import Report
from exporter.model.sanitize import printable

MAX_DETAIL_CHARACTERS = 300  # of text that a remote server may have chosen
log = structlog.get_logger()


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    LOGFMT = "logfmt"
    JSON = "json"


RENDERERS: dict[Format, Processor] = {
    Format.LOGFMT: structlog.processors.LogfmtRenderer(key_order=["time", "level", "msg"], bool_as_flag=False),
    Format.JSON: structlog.processors.JSONRenderer(),
}
LIBRARIES = {
    "apscheduler": logging.ERROR,  # it warns of skipped probes, and so do we, in our own words
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "uvicorn": logging.ERROR,  # it warns of whatever clients do wrong, and they may do that all day
}
"""What lies below is noise at every level of ours."""
ACCESS_LOG = "uvicorn.access"


def configure(level: Level, form: Format, stream: TextIO = sys.stderr) -> None:
    """For the whole process, so this is for the command line alone."""
    lowest = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[*FIELDS, RENDERERS[form]]))
    logging.basicConfig(level=lowest, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, least in LIBRARIES.items():
        logging.getLogger(name).setLevel(max(lowest, least))
    logging.getLogger(ACCESS_LOG).setLevel(logging.INFO if level is Level.DEBUG else logging.WARNING)


def escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What a terminal could act on is written as Python would; line breaks are left to the renderers."""
    return {
        key: value if isinstance(value, int | float | None) else escaped(str(value)) for key, value in event.items()
    }


def escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


FIELDS: tuple[Processor, ...] = (
    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    structlog.processors.EventRenamer("msg"),
    structlog.processors.format_exc_info,
    escape,
)


# ---------------------------------------------------------------- probes


def probed(before: Report | None, report: Report) -> None:
    """Says what came of a probe: aloud where that is news."""
    say = log.info if is_news(before, report) else log.debug
    server_name = report.server_name.text
    for stage, reason, detail in failures(report):
        say("stage failed", server_name=server_name, stage=stage, reason=reason, detail=detail)
    success = verdict.federates(report)
    say("probe succeeded" if success else "probe failed", server_name=server_name, seconds=round(report.seconds, 3))


def is_news(before: Report | None, report: Report) -> bool:
    """Another outcome than before; at first, any that is not plain success."""
    return outcome(report) != (outcome(before) if before else (True, frozenset()))


def outcome(report: Report) -> tuple[bool, frozenset[tuple[str, str]]]:
    return verdict.federates(report), frozenset((stage, reason) for stage, reason, _ in failures(report))


def failures(report: Report) -> Iterator[tuple[str, str, str]]:
    """Stage, reason and detail: one of each kind, however many endpoints have it."""
    seen: dict[tuple[str, str], str] = {}
    for located in verdict.problems(report):
        seen.setdefault((located.stage.value, located.problem.reason.value), located.problem.detail)
    for (stage, reason), detail in seen.items():
        yield stage, reason, printable(detail, MAX_DETAIL_CHARACTERS)
