"""The JSON Schemas of the lists of servers, incidents and changes."""

from typing import Final

from exporter.history.changes import Subject
from exporter.judging.verdict import Federation
from exporter.judging.warnings import WarningName
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from exporter.reports.summary import State
from exporter.web.api.schemas import (
    BOOLEAN,
    GROUP,
    INTEGER,
    LABELS,
    MOMENT,
    STRING,
    Schema,
    array_schema,
    described,
    enum_schema,
    nullable,
    object_schema,
)

_CAUSE = object_schema(stage=enum_schema(Stage), reason=enum_schema(Reason))
_LISTED_SERVER = object_schema(
    server_name=STRING,
    group=GROUP,
    labels=LABELS,
    state=described(enum_schema(State), "The verdict as in `federation` of a report, or unknown: no result yet."),
    since=described(nullable(MOMENT), "The time since which the server has been in this state."),
    checked_at=nullable(MOMENT),
    stale=described(BOOLEAN, "Whether the result is too old to be exposed as metrics."),
    exporter_offline=described(
        BOOLEAN, "Whether the exporter's own network was down during the latest probe, or its proxy failed."
    ),
    causes=described(array_schema(_CAUSE), "What stops homeservers, and then the other problems."),
    warnings=array_schema(enum_schema(WarningName)),
    first_expiry=described(nullable(MOMENT), "When the first certificate of the server expires."),
)
_SERVERS = object_schema(
    servers=described(array_schema(_LISTED_SERVER), "In the order of their names."),
    following_after=described(
        nullable(STRING), "The value of `after` with which the list goes on. null if it is complete."
    ),
    count=described(INTEGER, "How many servers there are after `after`."),
)
_ENDPOINTS = nullable(INTEGER)
_PHASE = object_schema(
    since=MOMENT,
    federation=described(enum_schema(Federation), "none, or partial if Synapse or Dendrite gets through."),
    problems=array_schema(
        object_schema(
            stage=enum_schema(Stage),
            reason=enum_schema(Reason),
            broken_endpoints=described(_ENDPOINTS, "null for the stages before tcp, which are not about endpoints."),
            endpoints=described(_ENDPOINTS, "All endpoints; null likewise."),
        )
    ),
)
_INCIDENT = object_schema(
    server_name=STRING,
    began=described(MOMENT, "When the first failing probe ended. It identifies an incident of a server."),
    ended=described(nullable(MOMENT), "When the first good probe ended. null while the incident lasts."),
    phases=described(array_schema(_PHASE), "What failed since when, the oldest first."),
)
_CHANGE = object_schema(
    server_name=STRING,
    at=described(MOMENT, "When the later of two good observations was made."),
    subject=enum_schema(Subject),
    before=STRING,
    after=STRING,
)
_MORE = described(BOOLEAN, "Whether there are older ones than these.")
_INCIDENTS = object_schema(incidents=described(array_schema(_INCIDENT), "The newest first."), more=_MORE)
_CHANGES = object_schema(changes=described(array_schema(_CHANGE), "The newest first."), more=_MORE)

LIST_SCHEMAS: Final[dict[str, Schema]] = {"Servers": _SERVERS, "Incidents": _INCIDENTS, "Changes": _CHANGES}
