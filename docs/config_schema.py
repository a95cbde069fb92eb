"""The JSON Schema of the configuration file, for editors, and the page of its keys."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from exporter.config.settings import Settings
from exporter.model import durations


class _SchemaGenerator(GenerateJsonSchema):
    """Writes defaults as they are written in YAML, and no titles that repeat the keys."""

    def field_title_should_be_set(self, _schema: object) -> bool:
        return False

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case float():
                return durations.text(dft)
            case tuple():
                return [str(item) for item in dft]
        return super().encode_default(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Omit the default None of keys that do not accept null."""
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if key != "default" or value is not None}


def schema() -> str:
    """Return the schema as JSON text."""
    written = TypeAdapter(Settings).json_schema(schema_generator=_SchemaGenerator)
    return json.dumps({"$schema": _SchemaGenerator.schema_dialect, **written}, indent=2) + "\n"


# ---------------------------------------------------------------- the page of the keys

_PAGE = """\
# Configuration

This page is generated from the code by `make docs`. [config.example.yaml](../config.example.yaml) shows the same keys
in a file, with more explanations, and [config.schema.json](config.schema.json) completes and validates them in an
editor. Only servers are required, in any of the lists. `[]` after a key means each entry of a list. Durations have the
same format as in Prometheus, such as `90s`, `5m` or `1h30m`.

| key | default | meaning |
|---|---|---|
{rows}
"""
_NO_DEFAULT: Final = object()


def page() -> str:
    """Return docs/configuration.md."""
    root = json.loads(schema())
    at_top_level = {section for value in root["properties"].values() if (section := _section(value))}
    return _PAGE.format(rows="\n".join(_rows(root, root["$defs"], "", at_top_level)))


def _rows(part: Any, definitions: Mapping[str, Any], prefix: str, described: set[str]) -> Iterator[str]:
    """Yield a row for each key, followed by the keys of its section. One that is used twice is listed once, at the top
    level if it is there.
    """
    for key, value in part["properties"].items():
        name = f"{prefix}{key}"
        section = _section(value)
        meaning = " ".join((value.get("description") or definitions[section]["description"]).split())
        yield f"| `{name}` | {_default(value, required=key in part.get('required', ()))} | {meaning} |"
        if section and (not prefix or section not in described):
            described.add(section)
            inner = f"{name}{'[]' if value.get('type') == 'array' else ''}."
            yield from _rows(definitions[section], definitions, inner, described)


def _section(value: Any) -> str:
    """Return the name of the definition that a key, or each entry of its list, refers to; without one, nothing."""
    variants = [value, value.get("items", {})]
    variants += [each for variant in variants for each in variant.get("anyOf", ())]
    references = [variant["$ref"].rpartition("/")[2] for variant in variants if "$ref" in variant]
    return references[0] if references else ""


def _default(value: Any, *, required: bool) -> str:
    if required:
        return "required"
    default = value.get("default", _NO_DEFAULT)
    if default is _NO_DEFAULT:
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"
