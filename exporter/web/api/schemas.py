"""The JSON Schemas (2020-12) of the responses of `/api`. Fields may be added, but are never removed or changed."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeAlias

from exporter.judging.verdict import Federation
from exporter.judging.warnings import WarningName
from exporter.model.enums import Implementation, IPFamily, Method, OutboundMethod, SrvService, Stage
from exporter.model.reasons import Reason
from exporter.model.servers import Expectation

Schema: TypeAlias = dict[str, Any]

STRING: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_FINGERPRINT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def object_schema(optional: Iterable[str] = (), **fields: Schema) -> Schema:
    """Every field is required, except for the optional ones."""
    return {"type": "object", "required": [name for name in fields if name not in optional], "properties": fields}


def _object_with_names(fields: dict[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """Like `object_schema`, for field names that are not Python identifiers."""
    return object_schema(optional, **fields)


def array_schema(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def map_schema(values: Schema) -> Schema:
    """An object with arbitrary keys."""
    return {"type": "object", "additionalProperties": values}


def enum_schema(kind: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [member.value for member in kind]}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


GROUP: Final = described(STRING, "The group of the configuration that the server is in.")
LABELS: Final = described(map_schema(STRING), "What all series of the server have in addition.")


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# ---------------------------------------------------------------- the exporter's own report

_SRV_RECORD = object_schema(target=STRING, port=INTEGER, priority=INTEGER, weight=INTEGER)
_SRV = _object_with_names({service.value: array_schema(_SRV_RECORD) for service in SrvService})
_STAGE = object_schema(stage=enum_schema(Stage), ok=BOOLEAN, duration_seconds=_SECONDS)
_COMPARISON = object_schema(
    expectation=enum_schema(Expectation),
    expected=described(STRING, "As the configuration says it."),
    found=described(STRING, "Everything of the kind that was found, in short."),
    as_expected=BOOLEAN,
)

_RESULT = object_schema(
    checked_at=MOMENT,
    duration_seconds=_SECONDS,
    federation_ok=BOOLEAN,
    problems=array_schema(object_schema(stage=enum_schema(Stage), reason=enum_schema(Reason))),
    exporter_offline=described(
        BOOLEAN,
        "Whether the exporter's own network was down, or its proxy failed: neither a success nor a failure of the"
        " server.",
    ),
)
_WELL_KNOWN = object_schema(
    outcome={"type": "string", "enum": ["valid", "absent", "failed"]},
    reason=described(nullable(enum_schema(Reason)), "Why the outcome is absent or failed."),
    m_server=nullable(STRING),
    cache_seconds=nullable(INTEGER),
)
_DELEGATION = object_schema(
    method=described(enum_schema(Method), "The step of server discovery that determined the targets."),
    targets=described(array_schema(STRING), "In the order in which peers try them."),
    host_header=STRING,
    tls_name=STRING,
    sni=nullable(STRING),
    well_known=described(nullable(_WELL_KNOWN), "null if server discovery does not request it."),
    srv=_SRV,
)
_PROBLEM = object_schema(
    stage=enum_schema(Stage), reason=enum_schema(Reason), endpoint=nullable(STRING), detail=STRING, remedy=STRING
)
_PEER = object_schema(
    federates=BOOLEAN, problem=described(nullable(_PROBLEM), "What stops it first. null if nothing does.")
)
_WARNING = object_schema(warning=enum_schema(WarningName), detail=STRING, remedy=STRING)
_CERTIFICATE = object_schema(
    not_before=MOMENT,
    not_after=MOMENT,
    chain_not_after=described(MOMENT, "The earliest expiry in the chain that verifies it, up to the trusted root."),
    issuer=STRING,
    subject=STRING,
    names=array_schema(STRING),
    fingerprint_sha256=_FINGERPRINT,
    valid=BOOLEAN,
)
_CHAIN_CERTIFICATE = object_schema(issuer=STRING, subject=STRING, fingerprint_sha256=_FINGERPRINT)
_UNVERIFIED_KEYS = object_schema(
    keys=nullable(map_schema(STRING)),
    valid_until=nullable(MOMENT),
    problems=array_schema(object_schema(reason=enum_schema(Reason), detail=STRING)),
)
_ENDPOINT = object_schema(
    address=STRING,
    target=STRING,
    ip_family=enum_schema(IPFamily),
    ok=BOOLEAN,
    stages=array_schema(_STAGE),
    certificate=nullable(_CERTIFICATE),
    chain=described(
        nullable(array_schema(_CHAIN_CERTIFICATE)), "The certificates that the server sends, its own first."
    ),
    tls_version=nullable(STRING),
    cipher=described(nullable(STRING), "The cipher suite, as OpenSSL names it."),
    server=nullable(object_schema(name=nullable(STRING), version=nullable(STRING))),
    keys=described(nullable(map_schema(STRING)), "The valid signing keys by key ID, in unpadded base64."),
    valid_until=nullable(MOMENT),
    behind_bad_certificate=described(
        nullable(_UNVERIFIED_KEYS),
        "The keys that the latest deep look got over a connection whose certificate does not verify. They show whether "
        "the right homeserver answers there, and never count for the verdict.",
    ),
    host_with_port_differs=described(nullable(STRING), "How the responses change if Host contains the port."),
)
_NOTARY = object_schema(
    server_name=STRING,
    ok=described(nullable(BOOLEAN), "null if the check was inconclusive."),
    inconclusive_because=nullable(STRING),
    keys=nullable(map_schema(STRING)),
    valid_until=nullable(MOMENT),
)
_CONTACT = object_schema(
    role=described(nullable(STRING), "As the server says it, such as m.role.admin."),
    matrix_id=nullable(STRING),
    email_address=nullable(STRING),
)
_SUPPORT = object_schema(
    contacts=array_schema(_CONTACT), support_page=described(nullable(STRING), "An https or http URL.")
)
_DEEP_LOOK = object_schema(
    checked_at=MOMENT,
    well_known_by_address=described(
        map_schema(STRING), "What each address of the server name returns as well-known, if it has several."
    ),
    srv=described(
        nullable(_SRV), "The SRV records of the server name itself, if a well-known takes precedence over them."
    ),
    notaries=described(array_schema(_NOTARY), "What each of network.notaries returns as the keys of the server."),
    support=described(nullable(_SUPPORT), "Whom to contact about the server. null if it does not say so."),
)
_OUTBOUND = object_schema(
    checked_at=MOMENT,
    ok=described(nullable(BOOLEAN), "Whether the server reaches the exporter. null if that is inconclusive."),
    inconclusive_because=nullable(STRING),
    method=described(nullable(enum_schema(OutboundMethod)), "How the server was made to come."),
    ip_family=described(nullable(enum_schema(IPFamily)), "Over which it came. null if a reverse proxy hides it."),
    by_family=described(
        _object_with_names({family.value: nullable(BOOLEAN) for family in IPFamily}, optional=set(IPFamily)),
        "Whether it reaches the exporter over each IP family that outbound.by_family names. null if that is "
        "inconclusive.",
    ),
)
_REPORT = object_schema(
    server_name=STRING,
    checked_at=MOMENT,
    duration_seconds=_SECONDS,
    federation_ok=described(BOOLEAN, "Whether both Synapse and Dendrite can federate with the server."),
    federation=described(
        enum_schema(Federation),
        "full: every implementation can federate. partial: some cannot, a reverse proxy breaks joins or messages "
        "although lookups work, or the server does not reach others. none: neither Synapse nor Dendrite can federate.",
    ),
    peers=described(
        _object_with_names({implementation.value: _PEER for implementation in Implementation}),
        "Whether each implementation can federate with the server. conduit stands for the Conduit family.",
    ),
    delegation=nullable(_DELEGATION),
    stages=array_schema(_STAGE),
    problems=array_schema(_PROBLEM),
    warnings=array_schema(_WARNING),
    endpoints=array_schema(_ENDPOINT),
    without_route=described(
        array_schema(STRING),
        "The addresses that are not probed, because the exporter's machine has no route to them.",
    ),
    deep_look=described(nullable(_DEEP_LOOK), "The latest deep look, which may be older than the report."),
    outbound=described(nullable(_OUTBOUND), "The latest look at the other direction. null if it is not configured."),
    timings_unreliable=described(
        BOOLEAN, "Whether the exporter was stalled, so that the durations of this probe are not reliable."
    ),
    group=GROUP,
    labels=LABELS,
    expectations=described(
        array_schema(_COMPARISON), "What the configuration expects of the server and the probe found something of."
    ),
    exporter_offline=described(
        BOOLEAN,
        "Whether the exporter's own network was down during the latest probe, or its proxy failed. The report is then"
        " older.",
    ),
    history=described(array_schema(_RESULT), "The results of the latest probes, the newest first."),
    last_failures=described(array_schema(_RESULT), "The latest failures, the newest first."),
)
_ERROR = object_schema(error=described(STRING, "A sentence that says why the request was refused and what to do."))

# ---------------------------------------------------------------- the format of the public federation tester

_MESSAGE = _object_with_names({"Message": STRING})
_TESTER_WELL_KNOWN = _object_with_names(
    {
        "m.server": STRING,
        "result": STRING,
        "CacheExpiresAt": described(INTEGER, "In seconds since 1970. 0 if no header of the response says when."),
    },
    ["result"],
)
_TESTER_SRV_RECORD = _object_with_names({"Target": STRING, "Port": INTEGER, "Priority": INTEGER, "Weight": INTEGER})
_TESTER_HOST = _object_with_names(
    {"CName": STRING, "Addrs": nullable(array_schema(STRING)), "Error": nullable(_MESSAGE)}
)
_TESTER_DNS = _object_with_names(
    {
        "SRVSkipped": BOOLEAN,
        "SRVCName": STRING,
        "SRVRecords": nullable(array_schema(_TESTER_SRV_RECORD)),
        "SRVError": described(nullable(_MESSAGE), "null if there are records, or if none are looked up."),
        "Hosts": described(nullable(map_schema(_TESTER_HOST)), "null if there is none."),
        "Addrs": nullable(array_schema(STRING)),
    }
)
_TESTER_CERTIFICATE = _object_with_names(
    {
        "SubjectCommonName": STRING,
        "IssuerCommonName": STRING,
        "SHA256Fingerprint": described(STRING, "Unpadded base64."),
        "DNSNames": nullable(array_schema(STRING)),
    }
)
_TESTER_CHECKS = _object_with_names(
    {
        "AllChecksOK": BOOLEAN,
        "MatchingServerName": BOOLEAN,
        "FutureValidUntilTS": BOOLEAN,
        "HasEd25519Key": BOOLEAN,
        "AllEd25519ChecksOK": described(nullable(BOOLEAN), "null if there is no key to check."),
        "Ed25519Checks": map_schema(_object_with_names({"ValidEd25519": BOOLEAN, "MatchingSignature": BOOLEAN})),
        "ValidCertificates": BOOLEAN,
    }
)
_TESTER_CONNECTION = _object_with_names(
    {
        "Certificates": array_schema(_TESTER_CERTIFICATE),
        "Cipher": _object_with_names({"Version": STRING, "CipherSuite": STRING}),
        "Checks": _TESTER_CHECKS,
        "Errors": array_schema(_MESSAGE),
        "Ed25519VerifyKeys": nullable(map_schema(STRING)),
        "Info": {"type": "object"},
        "Keys": described(
            {"type": ["object", "null"]},
            "The keys as the server sent them. null if they are unknown or take more than 8 KiB.",
        ),
    }
)
_TESTER_REPORT = _object_with_names(
    {
        "Error": described(STRING, "Present only if the name is invalid, or if nothing is known about the server."),
        "WellKnownResult": _TESTER_WELL_KNOWN,
        "DNSResult": _TESTER_DNS,
        "ConnectionReports": map_schema(_TESTER_CONNECTION),
        "ConnectionErrors": map_schema(_MESSAGE),
        "Version": _object_with_names(
            {"name": STRING, "version": STRING, "error": STRING}, ["name", "version", "error"]
        ),
        "FederationOK": described(BOOLEAN, "Whether both Synapse and Dendrite can federate with the server."),
    },
    ["Error"],
)

SCHEMAS: Final[dict[str, Schema]] = {"Report": _REPORT, "TesterReport": _TESTER_REPORT, "Error": _ERROR}
