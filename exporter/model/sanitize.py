"""Text from remote servers, made safe to show: one line, printable, bounded. Pure."""

_ELLIPSIS = "…"


def printable(text: str, at_most: int) -> str:
    """Return `text` cut to `at_most` characters, with every character replaced that a terminal or page could act on."""
    cut = text if len(text) <= at_most else text[: at_most - 1] + _ELLIPSIS
    if cut.isprintable():
        return cut
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)
