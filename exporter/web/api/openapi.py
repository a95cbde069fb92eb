"""The description of the API in OpenAPI 3.1: /api/openapi.json and docs/openapi.json."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from exporter import DISTRIBUTION, VERSION
from exporter.model.servers import MAX_LABELS
from exporter.reports.summary import State
from exporter.web.api.list_schemas import LIST_SCHEMAS
from exporter.web.api.lists import DEFAULT_LIMIT, MAX_LIMIT
from exporter.web.api.parameters import MAX_WORDS
from exporter.web.api.schemas import BOOLEAN, SCHEMAS, Schema, enum_schema, reference

JsonObject: TypeAlias = dict[str, Any]

_JSON, _PLAIN = "application/json", "text/plain"
_METRICS = (_PLAIN, "application/openmetrics-text")

REFUSALS: Final = {
    400: "A parameter is missing, invalid, or given twice.",
    404: "The server is not watched, and web.probe_any is not enabled.",
    429: (
        "There were too many requests for servers that are not watched, or for fresh probes of a server that has no "
        "recent result. Retry-After is the number of seconds to wait."
    ),
    503: (
        "There is no report yet, too many requests are waiting for probes, the exporter is stopping, or the exporter's "
        "own network is down."
    ),
    504: "There was no free probe slot, a probe that was already running did not finish in time, or it was lost.",
}


def document() -> JsonObject:
    """Return the OpenAPI document, ready for `json.dumps`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": DISTRIBUTION,
            "version": VERSION,
            "summary": "The health of Matrix federation, for each server.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/report": _get(
                "The latest report about a server, with its history",
                (_server_name(), _FRESH),
                {_JSON: reference("Report")},
                {_JSON: reference("Error")},
            ),
            "/api/report": _get(
                "The same result in the format of the public federation tester",
                (_server_name(), _FRESH),
                {_JSON: reference("TesterReport")},
                {_JSON: reference("TesterReport")},
            )
            | _PREFLIGHT,
            "/api/federation-ok": _get(
                "Whether other servers can federate with a server: GOOD or BAD",
                (_server_name(), _FRESH),
                {_PLAIN: {"type": "string", "enum": ["GOOD", "BAD"]}},
                {_PLAIN: {"type": "string"}},
            )
            | _PREFLIGHT,
            "/probe": _get(
                "The metrics of a server after a fresh probe, for Prometheus as the scheduler",
                (_server_name("target"), _DEBUG, _TIMEOUT),
                {media: {"type": "string"} for media in _METRICS},
                {_PLAIN: {"type": "string"}},
            ),
            "/api/v1/servers": _list(
                "The watched servers, in the order of their names", (_Q, _STATE, _GROUP, _LABEL, _AFTER), "Servers"
            ),
            "/api/v1/incidents": _list(
                "What went wrong, the newest first", (_SINCE, _server_name(required=False)), "Incidents"
            ),
            "/api/v1/changes": _list(
                "What changed about the servers, the newest first", (_SINCE, _server_name(required=False)), "Changes"
            ),
        },
        "components": {"schemas": SCHEMAS | LIST_SCHEMAS},
    }


# ---------------------------------------------------------------- parameters


def _server_name(parameter: str = "server_name", *, required: bool = True) -> JsonObject:
    schema = {"type": "string", "minLength": 1, "maxLength": 264}
    return _query(parameter, schema, "A Matrix server name, as in user IDs.", required=required)


def _query(name: str, schema: Schema, description: str, *, required: bool = False) -> JsonObject:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_FRESH: Final = _query("fresh", BOOLEAN, "true: probe the server first, and respond when the probe is complete.")
_DEBUG: Final = _query(
    "debug", BOOLEAN, "true: respond with a description of every step as text, followed by the metrics."
)
_Q: Final = _query(
    "q",
    {"type": "string", "maxLength": MAX_WORDS},
    "Words, each of which is part of the name, of a stage, a reason, a warning or the software.",
)
_STATE: Final = _query("state", enum_schema(State), "Only the servers in this state.")
_GROUP: Final = _query("group", {"type": "string"}, "Only the servers of this group.")
_LABEL: Final = _query(
    "label",
    {"type": "array", "maxItems": MAX_LABELS, "items": {"type": "string"}},
    "Only the servers with each of these labels, as NAME=VALUE. It may be given several times.",
)
_AFTER: Final = _query("after", {"type": "string"}, "Only the servers whose names come after this one.")
_SINCE: Final = _query(
    "since", {"type": "string", "format": "date-time"}, "Only what happened, or lasted, at this time or later."
)
_LIMIT: Final = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "How many entries the list has at most.",
)
_TIMEOUT: Final = {
    "name": "X-Prometheus-Scrape-Timeout-Seconds",
    "in": "header",
    "required": False,
    "description": "The probe takes at most half a second less than this, and never more than probe.timeout.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


_PREFLIGHT: Final = {
    "options": {
        "summary": "For browsers (CORS): the pages of all sites may read this path",
        "responses": {"200": {"description": "Success, without content."}},
    }
}

# ---------------------------------------------------------------- responses


def _list(summary: str, parameters: tuple[JsonObject, ...], schema: str) -> JsonObject:
    refusals = {400: "A parameter is invalid, or given twice."}
    return _get(summary, (*parameters, _LIMIT), {_JSON: reference(schema)}, {_JSON: reference("Error")}, refusals)


def _get(
    summary: str,
    parameters: tuple[JsonObject, ...],
    success: dict[str, Schema],
    refusal: dict[str, Schema],
    refusals: Mapping[int, str] = REFUSALS,
) -> JsonObject:
    """`success` and `refusal` are schemas by media type."""
    responses = {200: _response("Success.", success)}
    responses |= {status: _response(description, refusal) for status, description in refusals.items()}
    return {
        "get": {
            "summary": summary,
            "parameters": list(parameters),
            "responses": {str(status): response for status, response in responses.items()},
        }
    }


def _response(description: str, schemas: dict[str, Schema]) -> JsonObject:
    return {"description": description, "content": {media: {"schema": schema} for media, schema in schemas.items()}}
