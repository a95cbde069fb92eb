"""The JSON Schemas (2020-12) of the responses of `/api`. Fields may be added, but are never removed or changed."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeAlias

from exporter.judging.verdict import Federation
from exporter.judging.warnings import WarningName
from exporter.model.enums import Implementation, IPFamily, Method, SrvService, Stage
from exporter.model.reasons import Reason

Schema: TypeAlias = dict[str, Any]

_STRING: Final[Schema] = {"type": "string"}
_INTEGER: Final[Schema] = {"type": "integer"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_FINGERPRINT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object_schema(optional: Iterable[str] = (), **fields: Schema) -> Schema:
    """Every field is required, except for the optional ones."""
    return {"type": "object", "required": [name for name in fields if name not in optional], "properties": fields}


def _object_with_names(fields: dict[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """Like `_object_schema`, for field names that are not Python identifiers."""
    return _object_schema(optional, **fields)


def _array_schema(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _map_schema(values: Schema) -> Schema:
    """An object with arbitrary keys."""
    return {"type": "object", "additionalProperties": values}


def _enum_schema(kind: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [member.value for member in kind]}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# ---------------------------------------------------------------- the exporter's own report

_SRV_RECORD = _object_schema(target=_STRING, port=_INTEGER, priority=_INTEGER, weight=_INTEGER)
_SRV = _object_with_names({service.value: _array_schema(_SRV_RECORD) for service in SrvService})
_STAGE = _object_schema(stage=_enum_schema(Stage), ok=BOOLEAN, duration_seconds=_SECONDS)
_RESULT = _object_schema(
    checked_at=_MOMENT,
    duration_seconds=_SECONDS,
    federation_ok=BOOLEAN,
    problems=_array_schema(_object_schema(stage=_enum_schema(Stage), reason=_enum_schema(Reason))),
    exporter_offline=_described(
        BOOLEAN, "Whether the exporter's own network was down, which is neither a success nor a failure of the server."
    ),
)
_WELL_KNOWN = _object_schema(
    outcome={"type": "string", "enum": ["valid", "absent", "failed"]},
    reason=_described(_nullable(_enum_schema(Reason)), "Why the outcome is absent or failed."),
    m_server=_nullable(_STRING),
    cache_seconds=_nullable(_INTEGER),
)
_DELEGATION = _object_schema(
    method=_described(_enum_schema(Method), "The step of server discovery that determined the targets."),
    targets=_described(_array_schema(_STRING), "In the order in which peers try them."),
    host_header=_STRING,
    tls_name=_STRING,
    sni=_nullable(_STRING),
    well_known=_described(_nullable(_WELL_KNOWN), "null if server discovery does not request it."),
    srv=_SRV,
)
_PROBLEM = _object_schema(
    stage=_enum_schema(Stage), reason=_enum_schema(Reason), endpoint=_nullable(_STRING), detail=_STRING, remedy=_STRING
)
_PEER = _object_schema(
    federates=BOOLEAN, problem=_described(_nullable(_PROBLEM), "What stops it first. null if nothing does.")
)
_WARNING = _object_schema(warning=_enum_schema(WarningName), detail=_STRING, remedy=_STRING)
_CERTIFICATE = _object_schema(
    not_before=_MOMENT,
    not_after=_MOMENT,
    chain_not_after=_described(_MOMENT, "The earliest expiry in the chain that verifies it, up to the trusted root."),
    issuer=_STRING,
    subject=_STRING,
    names=_array_schema(_STRING),
    fingerprint_sha256=_FINGERPRINT,
    valid=BOOLEAN,
)
_CHAIN_CERTIFICATE = _object_schema(issuer=_STRING, subject=_STRING, fingerprint_sha256=_FINGERPRINT)
_UNVERIFIED_KEYS = _object_schema(
    keys=_nullable(_map_schema(_STRING)),
    valid_until=_nullable(_MOMENT),
    problems=_array_schema(_object_schema(reason=_enum_schema(Reason), detail=_STRING)),
)
_ENDPOINT = _object_schema(
    address=_STRING,
    target=_STRING,
    ip_family=_enum_schema(IPFamily),
    ok=BOOLEAN,
    stages=_array_schema(_STAGE),
    certificate=_nullable(_CERTIFICATE),
    chain=_described(
        _nullable(_array_schema(_CHAIN_CERTIFICATE)), "The certificates that the server sends, its own first."
    ),
    tls_version=_nullable(_STRING),
    cipher=_described(_nullable(_STRING), "The cipher suite, as OpenSSL names it."),
    server=_nullable(_object_schema(name=_nullable(_STRING), version=_nullable(_STRING))),
    keys=_described(_nullable(_map_schema(_STRING)), "The valid signing keys by key ID, in unpadded base64."),
    valid_until=_nullable(_MOMENT),
    behind_bad_certificate=_described(
        _nullable(_UNVERIFIED_KEYS),
        "The keys that the latest deep look got over a connection whose certificate does not verify. They show whether "
        "the right homeserver answers there, and never count for the verdict.",
    ),
    host_with_port_differs=_described(_nullable(_STRING), "How the responses change if Host contains the port."),
)
_NOTARY = _object_schema(
    server_name=_STRING,
    ok=_described(_nullable(BOOLEAN), "null if the check was inconclusive."),
    inconclusive_because=_nullable(_STRING),
    keys=_nullable(_map_schema(_STRING)),
    valid_until=_nullable(_MOMENT),
)
_CONTACT = _object_schema(
    role=_described(_nullable(_STRING), "As the server says it, such as m.role.admin."),
    matrix_id=_nullable(_STRING),
    email_address=_nullable(_STRING),
)
_SUPPORT = _object_schema(
    contacts=_array_schema(_CONTACT), support_page=_described(_nullable(_STRING), "An https or http URL.")
)
_DEEP_LOOK = _object_schema(
    checked_at=_MOMENT,
    well_known_by_address=_described(
        _map_schema(_STRING), "What each address of the server name returns as well-known."
    ),
    srv=_described(
        _nullable(_SRV), "The SRV records of the server name itself, if a well-known takes precedence over them."
    ),
    notaries=_described(_array_schema(_NOTARY), "What each of network.notaries returns as the keys of the server."),
    support=_described(_nullable(_SUPPORT), "Whom to contact about the server. null if it does not say so."),
)
_REPORT = _object_schema(
    server_name=_STRING,
    checked_at=_MOMENT,
    duration_seconds=_SECONDS,
    federation_ok=_described(BOOLEAN, "Whether both Synapse and Dendrite can federate with the server."),
    federation=_described(
        _enum_schema(Federation),
        "full: every implementation can federate. partial: some cannot, or a reverse proxy breaks joins or messages "
        "although lookups work. none: neither Synapse nor Dendrite can federate.",
    ),
    peers=_described(
        _object_with_names({implementation.value: _PEER for implementation in Implementation}),
        "Whether each implementation can federate with the server. conduit stands for the Conduit family.",
    ),
    delegation=_nullable(_DELEGATION),
    stages=_array_schema(_STAGE),
    problems=_array_schema(_PROBLEM),
    warnings=_array_schema(_WARNING),
    endpoints=_array_schema(_ENDPOINT),
    without_route=_described(
        _array_schema(_STRING),
        "The addresses that are not probed, because the exporter's machine has no route to them.",
    ),
    deep_look=_described(_nullable(_DEEP_LOOK), "The latest deep look, which may be older than the report."),
    timings_unreliable=_described(
        BOOLEAN, "Whether the exporter was stalled, so that the durations of this probe are not reliable."
    ),
    exporter_offline=_described(
        BOOLEAN, "Whether the exporter's own network was down during the latest probe. The report is then older."
    ),
    history=_described(_array_schema(_RESULT), "The results of the latest probes, the newest first."),
    last_failures=_described(_array_schema(_RESULT), "The latest failures, the newest first."),
)
_ERROR = _object_schema(error=_described(_STRING, "A sentence that says why the request was refused and what to do."))

# ---------------------------------------------------------------- the format of the public federation tester

_MESSAGE = _object_with_names({"Message": _STRING})
_TESTER_WELL_KNOWN = _object_with_names(
    {
        "m.server": _STRING,
        "result": _STRING,
        "CacheExpiresAt": _described(_INTEGER, "In seconds since 1970. 0 if no header of the response says when."),
    },
    ["result"],
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
        "SRVError": _described(_nullable(_MESSAGE), "null if there are records, or if none are looked up."),
        "Hosts": _described(_nullable(_map_schema(_TESTER_HOST)), "null if there is none."),
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
        "AllEd25519ChecksOK": _described(_nullable(BOOLEAN), "null if there is no key to check."),
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
            {"type": ["object", "null"]},
            "The keys as the server sent them. null if they are unknown or take more than 8 KiB.",
        ),
    }
)
_TESTER_REPORT = _object_with_names(
    {
        "Error": _described(_STRING, "Present only if the name is invalid, or if nothing is known about the server."),
        "WellKnownResult": _TESTER_WELL_KNOWN,
        "DNSResult": _TESTER_DNS,
        "ConnectionReports": _map_schema(_TESTER_CONNECTION),
        "ConnectionErrors": _map_schema(_MESSAGE),
        "Version": _object_with_names(
            {"name": _STRING, "version": _STRING, "error": _STRING}, ["name", "version", "error"]
        ),
        "FederationOK": _described(BOOLEAN, "Whether both Synapse and Dendrite can federate with the server."),
    },
    ["Error"],
)

SCHEMAS: Final[dict[str, Schema]] = {"Report": _REPORT, "TesterReport": _TESTER_REPORT, "Error": _ERROR}
