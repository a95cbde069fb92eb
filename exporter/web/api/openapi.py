"""What can be asked of the exporter, as OpenAPI 3.1 describes it: /api/openapi.json and docs/openapi.json."""

from typing import Any, Final, TypeAlias

from exporter import DISTRIBUTION, VERSION
from exporter.web.api.schemas import BOOLEAN, SCHEMAS, Schema, reference

JsonObject: TypeAlias = dict[str, Any]

_JSON, _PLAIN = "application/json", "text/plain"
_METRICS = (_PLAIN, "application/openmetrics-text")

REFUSALS: Final = {
    400: "A parameter is missing, wrong, or given twice.",
    404: "The server is not watched, and web.probe_any is off.",
    429: "Too many servers that are not watched were asked for; Retry-After says how many seconds to wait.",
    503: "There is no report yet, the exporter is stopping, or its own network is down.",
    504: "There was no turn to probe, or a probe that was under way takes longer.",
}


def document() -> JsonObject:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": DISTRIBUTION,
            "version": VERSION,
            "summary": "The health of Matrix federation, server by server.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/report": _get(
                "The latest report on a server, with what is remembered of those before it",
                (_server_name(), _FRESH),
                {_JSON: reference("Report")},
                {_JSON: reference("Error")},
            ),
            "/api/report": _get(
                "The same in the shape of the public federation tester",
                (_server_name(), _FRESH),
                {_JSON: reference("TesterReport")},
                {_JSON: reference("TesterReport")},
            ),
            "/api/federation-ok": _get(
                "Whether others can federate with a server, in one word",
                (_server_name(), _FRESH),
                {_PLAIN: {"type": "string", "enum": ["GOOD", "BAD"]}},
                {_PLAIN: {"type": "string"}},
            ),
            "/probe": _get(
                "A fresh probe, and the metrics of that one server, for Prometheus as the scheduler",
                (_server_name("target"), _DEBUG, _TIMEOUT),
                {kind: {"type": "string"} for kind in _METRICS},
                {_PLAIN: {"type": "string"}},
            ),
        },
        "components": {"schemas": SCHEMAS},
    }


# ---------------------------------------------------------------- parameters


def _server_name(parameter: str = "server_name") -> JsonObject:
    schema = {"type": "string", "minLength": 1, "maxLength": 264}
    return _query(parameter, schema, "A Matrix server name, as in user ids.", required=True)


def _query(name: str, schema: Schema, description: str, *, required: bool = False) -> JsonObject:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_FRESH: Final = _query("fresh", BOOLEAN, "true: probe the server now, and answer when that has ended.")
_DEBUG: Final = _query("debug", BOOLEAN, "true: an account of every step in words, followed by the metrics.")
_TIMEOUT: Final = {
    "name": "X-Prometheus-Scrape-Timeout-Seconds",
    "in": "header",
    "required": False,
    "description": "Half a second less than this is what the probe may take, and never more than probe.timeout.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


# ---------------------------------------------------------------- answers


def _get(
    summary: str, parameters: tuple[JsonObject, ...], good: dict[str, Schema], refused: dict[str, Schema]
) -> JsonObject:
    """Schemas by media type."""
    answers = {200: _response("What was asked for.", good)}
    answers |= {status: _response(description, refused) for status, description in REFUSALS.items()}
    return {
        "get": {
            "summary": summary,
            "parameters": list(parameters),
            "responses": {str(status): answer for status, answer in answers.items()},
        }
    }


def _response(description: str, schemas: dict[str, Schema]) -> JsonObject:
    return {"description": description, "content": {kind: {"schema": schema} for kind, schema in schemas.items()}}
