"""The tables of remedies in the runbooks, taken from the code: `make docs`.

The rest of a runbook is written by hand. A table stands between two comments: `<!-- remedies: … -->` with a list of
reasons or `all`, or `<!-- warnings -->`, and the matching `<!-- end of … -->`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from exporter.judging.remedies import BY_STATUS, STAGE_REMEDIES
from exporter.judging.warnings import WarningName
from exporter.model.reasons import Reason

FOLDER = Path(__file__).parent / "runbooks"
TABLE = re.compile(r"(<!-- (remedies|warnings)(?:: ([a-z_, ]+))? -->)\n.*?<!-- end of \2 -->\n", re.DOTALL)


def pages() -> Iterable[Path]:
    return sorted(FOLDER.glob("*.md"))


def runbook(page: Path) -> str:
    """Return the page with its tables generated anew."""
    return TABLE.sub(_generate, page.read_text())


def _generate(match: re.Match[str]) -> str:
    """Return the table with its comments. Raises ValueError for a word that is not a reason."""
    begin, kind, reasons = match.groups()
    rows: Iterable[tuple[str, str]] = (
        ((warning, warning.remedy) for warning in WarningName) if kind == "warnings" else _remedies(reasons)
    )
    return f"{begin}\n\n{_table(kind, rows)}\n\n<!-- end of {kind} -->\n"


def _remedies(reasons: str) -> Iterable[tuple[str, str]]:
    chosen = Reason if reasons == "all" else (Reason(word) for word in reasons.split(", "))
    return ((reason, remedy(reason)) for reason in chosen)


def remedy(reason: Reason) -> str:
    """Return the common remedy of a reason, and those of the stages that have their own."""
    of_stages = [f"`{stage}`: {text}" for (stage, each), text in STAGE_REMEDIES.items() if each is reason]
    return "<br>".join([reason.remedy, *of_stages, *(_of_statuses() if reason is Reason.HTTP_STATUS else ())])


def _of_statuses() -> Iterator[str]:
    """Yield the remedies of statuses that say what is wrong, each with its statuses."""
    for text in dict.fromkeys(BY_STATUS.values()):
        statuses = ", ".join(str(status) for status, each in BY_STATUS.items() if each == text)
        yield f"status {statuses}: {text}"


def _table(kind: str, rows: Iterable[tuple[str, str]]) -> str:
    heading = "warning" if kind == "warnings" else "reason"
    lines = [f"| {heading} | remedy |", "|---|---|", *(f"| `{word}` | {text} |" for word, text in rows)]
    return "\n".join(lines)
