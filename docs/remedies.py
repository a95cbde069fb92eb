"""What the runbooks say for each reason and each warning, taken from the code: `make docs`.

The rest of a runbook is written by hand. Between two comments, `remedies` with its reasons or `all`, or `warnings`, and
the end of it, stands a table that is written anew.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from exporter.judging.warnings import WarningName
from exporter.model.reasons import STAGE_REMEDIES, Reason

FOLDER = Path(__file__).parent / "runbooks"
TABLE = re.compile(r"(<!-- (remedies|warnings)(?:: ([a-z_, ]+))? -->)\n.*?<!-- end of \2 -->\n", re.DOTALL)


def pages() -> Iterable[Path]:
    return sorted(FOLDER.glob("*.md"))


def runbook(page: Path) -> str:
    """The page with its tables as they are to be."""
    return TABLE.sub(rewritten, page.read_text())


def rewritten(found: re.Match[str]) -> str:
    """Raises ValueError for a word that is no reason."""
    begin, kind, reasons = found.groups()
    rows: Iterable[tuple[str, str]] = (
        ((warning, warning.remedy) for warning in WarningName) if kind == "warnings" else remedies(reasons)
    )
    return f"{begin}\n\n{table(kind, rows)}\n\n<!-- end of {kind} -->\n"


def remedies(reasons: str) -> Iterable[tuple[str, str]]:
    chosen = Reason if reasons == "all" else (Reason(word) for word in reasons.split(", "))
    return ((reason, remedy(reason)) for reason in chosen)


def remedy(reason: Reason) -> str:
    """With what it means in stages where it means something else."""
    own = [f"`{stage}`: {text}" for (stage, why), text in STAGE_REMEDIES.items() if why is reason]
    return "<br>".join([reason.remedy, *own])


def table(kind: str, rows: Iterable[tuple[str, str]]) -> str:
    heading = "warning" if kind == "warnings" else "reason"
    lines = [f"| {heading} | remedy |", "|---|---|", *(f"| `{word}` | {text} |" for word, text in rows)]
    return "\n".join(lines)
