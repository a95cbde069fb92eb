"""Tables: each column has a query, and rows are joined by the labels that the queries share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana.panels import add_field_options, link_to_page, links_to_server, panel, table_query
from grafana.value_mappings import SEVERITY, FieldStyle, Json

_DOCS = "https://github.com/matrix-federation-exporter/matrix-federation-exporter/blob/main/docs"
_NO_VALUE = "-"
_LABEL_OPTIONS: Mapping[str, Json] = {
    "server_name": {"links": links_to_server("__value.raw"), "custom.minWidth": 180},
    "reason": {"links": [link_to_page("Show the remedy", f"{_DOCS}/reasons.md")]},
    "alertname": {"links": [link_to_page("Show the runbook", f"{_DOCS}/runbooks/${{__value.raw}}.md")]},
    "severity": SEVERITY,
    "job": {"custom.width": 130},
    "instance": {"custom.minWidth": 190},
    "alertstate": {"custom.width": 100},
    "connection": {"custom.width": 115},
    "issuer": {"custom.minWidth": 240},
    "name": {"custom.width": 100},
    "version": {"custom.width": 90},
}


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column with the values of the series."""

    title: str
    expression: str
    style: FieldStyle


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Columns with labels of the series. Their values are hidden."""

    labels: tuple[str, ...]
    expression: str


_Columns = Sequence[ValueColumn | LabelColumns]


def table(  # noqa: PLR0913 - what a table is made of
    title: str, description: str, keys: Sequence[str], columns: _Columns, sort_by: str, *, empty: str
) -> Json:
    """Return a table sorted by the column titled `sort_by`.

    The `keys` are the labels that all queries share. They are the first columns. `empty` is what it means if there are
    no rows.
    """
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort_by, "desc": False}],
        "footer": {"show": False, "countRows": False, "enablePagination": True, "fields": "", "reducer": ["sum"]},
    }
    queries = [table_query(column.expression) for column in columns]
    made = panel("table", title, description, FieldStyle(no_value=empty), queries) | {"options": options}
    made["transformations"] = [{"id": "merge", "options": {}}, _organize_fields(keys, columns)]
    made["fieldConfig"]["overrides"] = [*_label_overrides(keys, columns), *_style_overrides(columns)]
    return add_field_options(
        made, custom={"align": "auto", "minWidth": 80, "filterable": True, "cellOptions": {"type": "auto"}}
    )


def _organize_fields(keys: Sequence[str], columns: _Columns) -> Json:
    """Return the transformation that hides, renames and orders fields."""
    fields = _value_fields(columns)
    hidden = ["Time", *(field for field, column in fields if isinstance(column, LabelColumns))]
    titles = {field: column.title for field, column in fields if isinstance(column, ValueColumn)}
    order = [*keys, *_order_fields(columns)]
    options = {
        "excludeByName": dict.fromkeys(hidden, True),
        "renameByName": titles,
        "indexByName": {field: index for index, field in enumerate(order)},
    }
    return {"id": "organize", "options": options}


def _value_fields(columns: _Columns) -> list[tuple[str, ValueColumn | LabelColumns]]:
    """Return the columns with Grafana's names for their values, which omit the query if there is only one."""
    if len(columns) == 1:
        return [("Value", columns[0])]
    return [(f"Value #{ref}", column) for ref, column in zip(ascii_uppercase, columns, strict=False)]


def _order_fields(columns: _Columns) -> Iterator[str]:
    for field, column in _value_fields(columns):
        yield from column.labels if isinstance(column, LabelColumns) else (field,)


def _label_overrides(keys: Sequence[str], columns: _Columns) -> Iterator[Json]:
    labels = [*keys, *(label for column in columns if isinstance(column, LabelColumns) for label in column.labels)]
    for label in labels:
        yield _override(label, {"noValue": _NO_VALUE, **_LABEL_OPTIONS.get(label, {})})


def _style_overrides(columns: _Columns) -> Iterator[Json]:
    for column in columns:
        if isinstance(column, ValueColumn):
            cell_type = "color-text" if column.style.has_colours else "auto"
            options = column.style.field_options(_NO_VALUE) | {
                "custom.cellOptions": {"type": cell_type},
                "custom.width": column.style.width,
            }
            yield _override(column.title, options)


def _override(field: str, options: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": name, "value": value} for name, value in options.items()],
    }
