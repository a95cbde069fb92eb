"""Tables: one query for each column, joined into rows by the labels that the queries have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana.panels import page_link, panel, rows, server_link, with_defaults
from grafana.value_mappings import Json, Look

REASONS_PAGE = "https://github.com/matrix-federation-exporter/matrix-federation-exporter/blob/main/docs/reasons.md"
LINKS = {
    "server_name": server_link("__value.raw"),
    "reason": page_link("What to do about it", REASONS_PAGE),
}
"""By label."""


@dataclass(frozen=True, slots=True)
class Value:
    """A column of numbers."""

    title: str
    expression: str
    look: Look


@dataclass(frozen=True, slots=True)
class Labels:
    """Columns of the labels that the series bear; their numbers are not shown."""

    labels: tuple[str, ...]
    expression: str


Column = Value | Labels


def table(title: str, description: str, keys: Sequence[str], columns: Sequence[Column], sort: str) -> Json:
    """`keys` are the labels that all queries have in common, and the first columns; `sort` is the title of a column."""
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort, "desc": False}],
        "footer": {"show": False, "countRows": False, "enablePagination": True, "fields": "", "reducer": ["sum"]},
    }
    targets = [rows(column.expression) for column in columns]
    made = panel("table", title, description, Look(), targets) | {"options": options}
    made["transformations"] = [{"id": "merge", "options": {}}, organised(keys, columns)]
    made["fieldConfig"]["overrides"] = [*links(keys, columns), *looks(columns)]
    return with_defaults(made, custom={"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}})


def organised(keys: Sequence[str], columns: Sequence[Column]) -> Json:
    """Leaves away what is no column, names the numbers, and puts all in order."""
    fields = value_fields(columns)
    hidden = ["Time", *(field for field, column in fields if isinstance(column, Labels))]
    names = {field: column.title for field, column in fields if isinstance(column, Value)}
    order = [*keys, *ordered_fields(columns)]
    options = {
        "excludeByName": dict.fromkeys(hidden, True),
        "renameByName": names,
        "indexByName": {field: index for index, field in enumerate(order)},
    }
    return {"id": "organize", "options": options}


def value_fields(columns: Sequence[Column]) -> list[tuple[str, Column]]:
    """What Grafana calls the numbers of each query: it is brief where there is one query only."""
    if len(columns) == 1:
        return [("Value", columns[0])]
    return [(f"Value #{ref}", column) for ref, column in zip(ascii_uppercase, columns, strict=False)]


def ordered_fields(columns: Sequence[Column]) -> Iterator[str]:
    for field, column in value_fields(columns):
        yield from column.labels if isinstance(column, Labels) else (field,)


def links(keys: Sequence[str], columns: Sequence[Column]) -> Iterator[Json]:
    labels = [*keys, *(label for column in columns if isinstance(column, Labels) for label in column.labels)]
    for label in labels:
        if label in LINKS:
            yield override(label, {"links": [LINKS[label]]})


def looks(columns: Sequence[Column]) -> Iterator[Json]:
    for column in columns:
        if isinstance(column, Value):
            coloured = bool(column.look.words or column.look.limits)
            cell = {"custom.cellOptions": {"type": "color-text" if coloured else "auto"}}
            yield override(column.title, column.look.settings() | cell)


def override(field: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }
