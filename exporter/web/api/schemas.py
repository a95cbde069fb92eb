"""The shapes of the answers of `/api`, in JSON Schema 2020-12. More fields may come; those that are there stay."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeAlias

from exporter.judging.warnings import WarningName
from exporter.model.enums import IPFamily, Method, SrvService, Stage
from exporter.model.reasons import Reason

Schema: TypeAlias = dict[str, Any]

_STRING: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_FINGERPRINT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object_schema(optional: Iterable[str] = (), **fields: Schema) -> Schema:
    """Every field is there, but for the optional ones."""
    return {"type": "object", "required": [name for name in fields if name not in optional], "properties": fields}


def _object_with_names(fields: dict[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """As `an_object`, for names that are none in Python."""
    return _object_schema(optional, **fields)


def _array_schema(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map_schema(values: Schema) -> Schema:
    """A mapping with keys of any kind."""
    return {"type": "object", "additionalProperties": values}


def _enum_schema(kind: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [member.value for member in kind]}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# ---------------------------------------------------------------- our own report

_SRV_RECORD = _object_schema(target=_STRING, port=_INTEGER, priority=_INTEGER, weight=_INTEGER)
_SRV = _object_with_names({service.value: _array_schema(_SRV_RECORD) for service in SrvService})
_STAGE = _object_schema(stage=_enum_schema(Stage), ok=BOOLEAN, duration_seconds=_SECONDS)
_RESULT = _object_schema(
    checked_at=_MOMENT,
    duration_seconds=_SECONDS,
    federation_ok=BOOLEAN,
    problems=_array_schema(_object_schema(stage=_enum_schema(Stage), reason=_enum_schema(Reason))),
    exporter_offline=_described(
        BOOLEAN, "The exporter's own network was down: neither a success nor a failure of the server."
    ),
)
_WELL_KNOWN = _object_schema(
    outcome={"type": "string", "enum": ["valid", "absent", "failed"]},
    reason=_described(_nullable(_enum_schema(Reason)), "Beside the outcome absent, too."),
    m_server=_nullable(_STRING),
    cache_seconds=_nullable(_INTEGER),
)
_DELEGATION = _object_schema(
    method=_described(_enum_schema(Method), "The step of server discovery that decided."),
    targets=_described(_array_schema(_STRING), "In the order in which a peer tries them."),
    host_header=_STRING,
    tls_name=_STRING,
    sni=_nullable(_STRING),
    well_known=_described(_nullable(_WELL_KNOWN), "null where the specification does not ask for it."),
    srv=_SRV,
)
_PROBLEM = _object_schema(
    stage=_enum_schema(Stage), reason=_enum_schema(Reason), endpoint=_nullable(_STRING), detail=_STRING, remedy=_STRING
)
_WARNING = _object_schema(warning=_enum_schema(WarningName), detail=_STRING, remedy=_STRING)
_CERTIFICATE = _object_schema(
    not_before=_MOMENT,
    not_after=_MOMENT,
    chain_not_after=_described(_MOMENT, "The earliest expiry in the chain as presented."),
    issuer=_STRING,
    subject=_STRING,
    names=_array_schema(_STRING),
    fingerprint_sha256=_FINGERPRINT,
    valid=BOOLEAN,
)
_ENDPOINT = _object_schema(
    address=_STRING,
    target=_STRING,
    ip_family=_enum_schema(IPFamily),
    ok=BOOLEAN,
    stages=_array_schema(_STAGE),
    certificate=_nullable(_CERTIFICATE),
    tls_version=_nullable(_STRING),
    server=_nullable(_object_schema(name=_nullable(_STRING), version=_nullable(_STRING))),
    keys=_described(_nullable(_map_schema(_STRING)), "The valid verify keys by key id, as unpadded base64."),
    valid_until=_nullable(_MOMENT),
    host_with_port_differs=_described(_nullable(_STRING), "How the answers change when Host bears the port."),
)
_NOTARY = _object_schema(
    server_name=_STRING,
    ok=_described(_nullable(BOOLEAN), "null where it was inconclusive."),
    inconclusive_because=_nullable(_STRING),
    keys=_nullable(_map_schema(_STRING)),
    valid_until=_nullable(_MOMENT),
)
_DEEP_LOOK = _object_schema(
    checked_at=_MOMENT,
    well_known_by_address=_described(_map_schema(_STRING), "What each address of the server name answers."),
    srv=_described(_nullable(_SRV), "The server name's own records, where a well-known takes precedence."),
    notaries=_described(_array_schema(_NOTARY), "What each of network.notaries says of the server's keys."),
)
_REPORT = _object_schema(
    server_name=_STRING,
    checked_at=_MOMENT,
    duration_seconds=_SECONDS,
    federation_ok=BOOLEAN,
    delegation=_nullable(_DELEGATION),
    stages=_array_schema(_STAGE),
    problems=_array_schema(_PROBLEM),
    warnings=_array_schema(_WARNING),
    endpoints=_array_schema(_ENDPOINT),
    deep_look=_described(_nullable(_DEEP_LOOK), "The latest one, which may be older than the report."),
    timings_unreliable=_described(BOOLEAN, "The exporter itself was too slow to tell how long anything took."),
    exporter_offline=_described(
        BOOLEAN, "The exporter's own network was down at the latest probe: the report is older."
    ),
    history=_described(_array_schema(_RESULT), "The latest results, the newest first."),
    last_failures=_described(_array_schema(_RESULT), "The latest failures, the newest first."),
)
_ERROR = _object_schema(error=_described(_STRING, "A sentence on what to do."))

# ---------------------------------------------------------------- the shape of the public federation tester

_MESSAGE = _object_with_names({"Message": _STRING})
_TESTER_WELL_KNOWN = _object_with_names(
    {"m.server": _STRING, "result": _STRING, "CacheExpiresAt": _INTEGER}, ["result"]
)
_TESTER_SRV_RECORD = _object_with_names({"Target": _STRING, "Port": _INTEGER, "Priority": _INTEGER, "Weight": _INTEGER})
_TESTER_HOST = _object_with_names(
    {"CName": _STRING, "Addrs": _nullable(_array_schema(_STRING)), "Error": _nullable(_MESSAGE)}
)
_TESTER_DNS = _object_with_names(
    {
        "SRVSkipped": BOOLEAN,
        "SRVCName": _STRING,
        "SRVRecords": _nullable(_array_schema(_TESTER_SRV_RECORD)),
        "SRVError": _nullable(_MESSAGE),
        "Hosts": _map_schema(_TESTER_HOST),
        "Addrs": _nullable(_array_schema(_STRING)),
    }
)
_TESTER_CERTIFICATE = _object_with_names(
    {
        "SubjectCommonName": _STRING,
        "IssuerCommonName": _STRING,
        "SHA256Fingerprint": _described(_STRING, "Unpadded base64."),
        "DNSNames": _nullable(_array_schema(_STRING)),
    }
)
_TESTER_CHECKS = _object_with_names(
    {
        "AllChecksOK": BOOLEAN,
        "MatchingServerName": BOOLEAN,
        "FutureValidUntilTS": BOOLEAN,
        "HasEd25519Key": BOOLEAN,
        "AllEd25519ChecksOK": _described(_nullable(BOOLEAN), "null where there is no key to check."),
        "Ed25519Checks": _map_schema(_object_with_names({"ValidEd25519": BOOLEAN, "MatchingSignature": BOOLEAN})),
        "ValidCertificates": BOOLEAN,
    }
)
_TESTER_CONNECTION = _object_with_names(
    {
        "Certificates": _array_schema(_TESTER_CERTIFICATE),
        "Cipher": _object_with_names({"Version": _STRING, "CipherSuite": _STRING}),
        "Checks": _TESTER_CHECKS,
        "Errors": _array_schema(_MESSAGE),
        "Ed25519VerifyKeys": _nullable(_map_schema(_STRING)),
        "Info": {"type": "object"},
        "Keys": _described(
            {"type": ["object", "null"]}, "As the server sent them, up to 8 KiB; null beyond, or where unknown."
        ),
    }
)
_TESTER_REPORT = _object_with_names(
    {
        "Error": _described(_STRING, "There only where nothing is known."),
        "WellKnownResult": _TESTER_WELL_KNOWN,
        "DNSResult": _TESTER_DNS,
        "ConnectionReports": _map_schema(_TESTER_CONNECTION),
        "ConnectionErrors": _map_schema(_MESSAGE),
        "Version": _object_with_names(
            {"name": _STRING, "version": _STRING, "error": _STRING}, ["name", "version", "error"]
        ),
        "FederationOK": _described(BOOLEAN, "At least one endpoint passed every stage."),
    },
    ["Error"],
)

SCHEMAS: Final[dict[str, Schema]] = {"Report": _REPORT, "TesterReport": _TESTER_REPORT, "Error": _ERROR}
