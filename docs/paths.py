"""The page of the paths of the API, from its description in OpenAPI."""

from collections.abc import Iterator
from typing import Any, Final

from exporter.web.api import openapi

_PAGE: Final = """\
# Paths of the API

This page is generated from the code by `make docs`. The exporter serves the whole description, with every field of the
responses, at `/api/openapi.json`; it is also in [openapi.json](openapi.json). [Use of the API](api.md) shows examples.

{sections}
"""


def page() -> str:
    """Return docs/paths.md."""
    paths = openapi.document()["paths"]
    return _PAGE.format(
        sections="\n\n".join(
            _section(f"{method.upper()} {path}", operation)
            for path, operations in paths.items()
            for method, operation in operations.items()
        )
    )


def _section(heading: str, operation: Any) -> str:
    lists = [list(_parameters(operation)), list(_responses(operation))]
    return "\n\n".join([f"## `{heading}`", f"{operation['summary']}.", *("\n".join(each) for each in lists if each)])


def _parameters(operation: Any) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        required = ", required" if parameter["required"] else ""
        yield f"- `{parameter['name']}` ({parameter['in']}{required}): {parameter['description']}"


def _responses(operation: Any) -> Iterator[str]:
    if operation["responses"]:
        yield "| status | meaning |"
        yield "|---|---|"
    for status, response in operation["responses"].items():
        yield f"| {status} | {response['description']} |"
