"""The positions of panels: rows with a heading, each made of lines of the full width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana.value_mappings import Json

GRID_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Line:
    """Panels of the same height side by side, each with its width."""

    height: int
    panels: tuple[tuple[int, Json], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row as Grafana knows it: a heading, and the panels below it."""

    title: str
    lines: tuple[Line, ...]


def line(height: int, *panels: tuple[int, Json]) -> Line:
    """Return a line of panels with the given widths. Raises ValueError if they do not fill the grid."""
    width = sum(width for width, _ in panels)
    if width != GRID_WIDTH:
        titles = ", ".join(panel["title"] for _, panel in panels)
        raise ValueError(f"expected panels with a total width of {GRID_WIDTH}, found {width}: {titles}")
    return Line(height, panels)


def even_line(height: int, *panels: Json) -> Line:
    """Return a line of panels of equal width. Raises ValueError if their number does not divide the grid."""
    return line(height, *((GRID_WIDTH // len(panels), panel) for panel in panels))


def arrange(rows: Sequence[Row]) -> list[Json]:
    """Return all headings and panels, each with its ID and its position."""
    return [panel | {"id": number} for number, panel in enumerate(_place_rows(rows), start=1)]


def _place_rows(rows: Sequence[Row]) -> Iterator[Json]:
    y = 0
    for row in rows:
        yield _heading(row.title, y)
        y += 1
        for each in row.lines:
            yield from _place_panels(each.panels, y, each.height)
            y += each.height


def _heading(title: str, y: int) -> Json:
    position = {"x": 0, "y": y, "w": GRID_WIDTH, "h": 1}
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": position}


def _place_panels(panels: Sequence[tuple[int, Json]], y: int, height: int) -> Iterator[Json]:
    x = 0
    for width, panel in panels:
        yield panel | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}
        x += width
