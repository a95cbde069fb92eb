"""The references as HTML, which the exporter serves offline: `make docs` renders them from the Markdown of this folder.

A table whose first column names a reason or a warning becomes a list of sections with an anchor each: a table of long
sentences cannot be read on a small screen.
"""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_COMMENT: Final = re.compile(r"<!--.*?-->\n*", re.DOTALL)
_SERVED: Final = re.compile(r"(#.*|(\.\./)?(reasons|warnings)\.md(#.*)?|\w+Federation\w+\.md(#.*)?)")
_GENERATED: Final = "This page is generated from the code by `make docs`.\n"


def render(markdown: str) -> str:
    """Return the page as the content of `<main>`. Links to other pages are links to what the exporter serves."""
    tokens = _MARKDOWN.parse(_COMMENT.sub("", markdown).replace(_GENERATED, ""))
    return "".join(_render_blocks(tokens))


def _render_blocks(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield the HTML of all blocks. Tables are taken out of their sequence, and rendered as a whole."""
    blocks, table, level = list[Token](), list[Token](), 1
    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            level = int(token.tag[1:])
            token.attrSet("id", _slug(tokens[position + 1].content))
        _link_to_pages(token)
        if table or token.type == "table_open":
            table.append(token)
        else:
            blocks.append(token)
        if token.type == "table_close":
            yield _render(blocks)
            yield _render_table(table, level)
            blocks, table = [], []
    yield _render(blocks)


def _render(tokens: Sequence[Token]) -> str:
    html: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return html


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", heading.lower()).strip("-")


def _link_to_pages(block: Token) -> None:
    """Let links between pages lead to where the exporter serves them: beside one another, without a suffix.

    Of links to other documents, which it does not serve, the text remains.
    """
    hidden = False
    for token in block.children or ():
        target = token.attrGet("href")
        if token.type == "link_open" and isinstance(target, str) and "://" not in target:
            hidden = not _SERVED.fullmatch(target)
            token.attrSet("href", re.sub(r"\.md(#|$)", r"\1", target))
        token.hidden = hidden and token.type in {"link_open", "link_close"}
        hidden = hidden and token.type != "link_close"


def _render_table(tokens: Sequence[Token], level: int) -> str:
    """Return a section for each row, below a heading of this level."""
    cells = [token for token in tokens if token.type == "inline"]
    columns = sum(token.type == "th_open" for token in tokens)
    names = [cell.content for cell in cells[1:columns]]
    rows = (cells[start : start + columns] for start in range(columns, len(cells), columns))
    return "".join(_section(row, names, level + 1) for row in rows)


def _section(row: Sequence[Token], names: Sequence[str], level: int) -> str:
    key, *others = row
    described = "".join(
        f"<dt>{escape(name)}</dt>\n<dd>{_render_cell(cell)}</dd>\n" for name, cell in zip(names, others, strict=True)
    )
    anchor = escape(_slug(key.content))
    heading = f'<h{level}><a href="#{anchor}">{_render_cell(key)}</a></h{level}>'
    return f'<section class="entry" id="{anchor}">\n{heading}\n<dl>\n{described}</dl>\n</section>\n'


def _render_cell(cell: Token) -> str:
    """Line breaks are the only HTML in a cell."""
    return _render([cell]).replace("&lt;br&gt;", "<br>")
