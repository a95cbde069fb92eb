"""Where panels stand: sections of lines, each of the whole width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana.value_mappings import Json

WIDTH = 24  # of Grafana's grid


@dataclass(frozen=True, slots=True)
class Line:
    """Panels side by side, each with its width: all of the same height."""

    height: int
    panels: tuple[tuple[int, Json], ...]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lines: tuple[Line, ...]


def line(height: int, *panels: tuple[int, Json]) -> Line:
    """Raises ValueError where the widths are not those of the grid."""
    width = sum(width for width, _ in panels)
    if width != WIDTH:
        titles = ", ".join(panel["title"] for _, panel in panels)
        raise ValueError(f"expected panels of width {WIDTH} together, found {width}: {titles}")
    return Line(height, panels)


def evenly(height: int, *panels: Json) -> Line:
    """A line of panels of the same width: their number divides that of the grid."""
    return line(height, *((WIDTH // len(panels), panel) for panel in panels))


def laid_out(sections: Sequence[Section]) -> list[Json]:
    """Every panel with its id and its place, below a heading for its section."""
    return [panel | {"id": number} for number, panel in enumerate(placed(sections), start=1)]


def placed(sections: Sequence[Section]) -> Iterator[Json]:
    y = 0
    for section in sections:
        yield heading(section.title, y)
        y += 1
        for each in section.lines:
            yield from side_by_side(each, y)
            y += each.height


def heading(title: str, y: int) -> Json:
    place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}


def side_by_side(stretch: Line, y: int) -> Iterator[Json]:
    x = 0
    for width, panel in stretch.panels:
        yield panel | {"gridPos": {"x": x, "y": y, "w": width, "h": stretch.height}}
        x += width
