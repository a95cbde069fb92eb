"""The JSON Schema of the configuration file, for editors: docs/config.schema.json."""

import json
from typing import Any

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
