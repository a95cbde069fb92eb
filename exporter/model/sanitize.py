"""Text from remote servers, made safe to show: one line, printable, bounded. Pure."""

_ELLIPSIS = "…"


def printable(text: str, at_most: int) -> str:
    """`text` with every character that a terminal or a page could act on replaced, and cut to `at_most` characters."""
    cut = text if len(text) <= at_most else text[: at_most - 1] + _ELLIPSIS
    if cut.isprintable():
        return cut
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)
