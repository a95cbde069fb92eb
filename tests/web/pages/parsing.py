"""What a page says, as far as tests compare it."""

from html.parser import HTMLParser
from typing import Final

BESIDE: Final = {"td", "th", "dd", "dt", "li"}  # what stands apart without a blank between
VOID: Final = {"br", "hr", "img", "input", "link", "meta"}
LOADED: Final = {"href", "src", "action"}


class Page(HTMLParser):
    """The title, the text, the links and the icon of a page. All its tags must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.title = ""
        self.icon = ""
        self.links: list[str] = []
        """What the page links to or loads, without fragments of its own."""
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        """All text, with single blanks."""
        return " ".join("".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._see(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Such as a shape of a drawing, which needs no end."""
        self._see(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data
        elif "svg" not in self._open:
            self._words.append(data)

    def _see(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("rel") == "icon":
            self.icon = given["href"] or ""
        self.tags.add(tag)
        if tag in BESIDE:
            self._words.append(" ")
        self.attributes += attrs
        self.links += [value for name, value in attrs if name in LOADED and value and not value.startswith("#")]
