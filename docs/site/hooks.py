"""What MkDocs does not do by itself: list the runbooks, and follow links that leave docs/."""

import logging
import re
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[2]
_DOCS: Final = _ROOT / "docs"
_SOURCE: Final = "https://github.com/matrix-federation-exporter/matrix-federation-exporter/blob/main"
_LINK_UPWARDS: Final = re.compile(r"(?<=\]\()(\.\./[^)#]*)")
_log: Final = logging.getLogger("mkdocs.hooks")  # with --strict, its warnings are errors


def on_config(config: Any) -> Any:
    """Fill the section of the runbooks with every page in its folder."""
    section = next(entry for entry in config.nav if "Runbooks" in entry)
    section["Runbooks"] = [f"runbooks/{page.name}" for page in sorted((_DOCS / "runbooks").glob("*.md"))]
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to files outside docs/ lead to the repository. Warns of those that are not there."""
    folder = (_DOCS / page.file.src_uri).parent
    return _LINK_UPWARDS.sub(lambda link: _in_repository(folder, link[1]), markdown)


def _in_repository(folder: Path, link: str) -> str:
    """Return the URL of a file outside docs/, or the link itself if it stays inside."""
    target = (folder / link).resolve()
    if target.is_relative_to(_DOCS):
        return link
    if not target.is_relative_to(_ROOT) or not target.exists():
        _log.warning("A page in %s contains a link to %s, which does not exist.", folder, link)
    return f"{_SOURCE}/{target.relative_to(_ROOT)}"
