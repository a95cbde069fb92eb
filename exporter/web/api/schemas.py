"""The shapes of the answers of `/api`, in JSON Schema 2020-12. More fields may come; those that are there stay."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, TypeAlias

from exporter.model.enums import IPFamily, Method, Reason, SrvService, Stage, WarningName

Schema: TypeAlias = dict[str, Any]

STRING: Final[Schema] = {"type": "string"}
INTEGER: Final[Schema] = {"type": "integer"}
BOOLEAN: Final[Schema] = {"type": "boolean"}
SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
FINGERPRINT: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def object_schema(optional: Iterable[str] = (), **fields: Schema) -> Schema:
    """Every field is there, but for the optional ones."""
    return {"type": "object", "required": [name for name in fields if name not in optional], "properties": fields}


def object_with_names(fields: dict[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """As `an_object`, for names that are none in Python."""
    return object_schema(optional, **fields)


def array_schema(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def map_schema(values: Schema) -> Schema:
    """A mapping with keys of any kind."""
    return {"type": "object", "additionalProperties": values}


def enum_schema(kind: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [member.value for member in kind]}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def described(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# ---------------------------------------------------------------- our own report

SRV_RECORD = object_schema(target=STRING, port=INTEGER, priority=INTEGER, weight=INTEGER)
SRV = object_with_names({service.value: array_schema(SRV_RECORD) for service in SrvService})
STAGE = object_schema(stage=enum_schema(Stage), ok=BOOLEAN, duration_seconds=SECONDS)
RESULT = object_schema(
    checked_at=MOMENT,
    duration_seconds=SECONDS,
    federation_ok=BOOLEAN,
    problems=array_schema(object_schema(stage=enum_schema(Stage), reason=enum_schema(Reason))),
    exporter_offline=described(
        BOOLEAN, "The exporter's own network was down: neither a success nor a failure of the server."
    ),
)
WELL_KNOWN = object_schema(
    outcome={"type": "string", "enum": ["valid", "absent", "failed"]},
    reason=described(nullable(enum_schema(Reason)), "Beside the outcome absent, too."),
    m_server=nullable(STRING),
    cache_seconds=nullable(INTEGER),
)
DELEGATION = object_schema(
    method=described(enum_schema(Method), "The step of server discovery that decided."),
    targets=described(array_schema(STRING), "In the order in which a peer tries them."),
    host_header=STRING,
    tls_name=STRING,
    sni=nullable(STRING),
    well_known=described(nullable(WELL_KNOWN), "null where the specification does not ask for it."),
    srv=SRV,
)
PROBLEM = object_schema(
    stage=enum_schema(Stage), reason=enum_schema(Reason), endpoint=nullable(STRING), detail=STRING, remedy=STRING
)
WARNING = object_schema(warning=enum_schema(WarningName), detail=STRING, remedy=STRING)
CERTIFICATE = object_schema(
    not_before=MOMENT,
    not_after=MOMENT,
    chain_not_after=described(MOMENT, "The earliest expiry in the chain as presented."),
    issuer=STRING,
    subject=STRING,
    names=array_schema(STRING),
    fingerprint_sha256=FINGERPRINT,
    valid=BOOLEAN,
)
ENDPOINT = object_schema(
    address=STRING,
    target=STRING,
    ip_family=enum_schema(IPFamily),
    ok=BOOLEAN,
    stages=array_schema(STAGE),
    certificate=nullable(CERTIFICATE),
    tls_version=nullable(STRING),
    server=nullable(object_schema(name=nullable(STRING), version=nullable(STRING))),
    keys=described(nullable(map_schema(STRING)), "The valid verify keys by key id, as unpadded base64."),
    valid_until=nullable(MOMENT),
    host_with_port_differs=described(nullable(STRING), "How the answers change when Host bears the port."),
)
NOTARY = object_schema(
    server_name=STRING,
    ok=described(nullable(BOOLEAN), "null where it was inconclusive."),
    inconclusive_because=nullable(STRING),
    keys=nullable(map_schema(STRING)),
    valid_until=nullable(MOMENT),
)
DEEP_LOOK = object_schema(
    checked_at=MOMENT,
    well_known_by_address=described(map_schema(STRING), "What each address of the server name answers."),
    srv=described(nullable(SRV), "The server name's own records, where a well-known takes precedence."),
    notaries=described(array_schema(NOTARY), "What each of network.notaries says of the server's keys."),
)
REPORT = object_schema(
    server_name=STRING,
    checked_at=MOMENT,
    duration_seconds=SECONDS,
    federation_ok=BOOLEAN,
    delegation=nullable(DELEGATION),
    stages=array_schema(STAGE),
    problems=array_schema(PROBLEM),
    warnings=array_schema(WARNING),
    endpoints=array_schema(ENDPOINT),
    deep_look=described(nullable(DEEP_LOOK), "The latest one, which may be older than the report."),
    timings_unreliable=described(BOOLEAN, "The exporter itself was too slow to tell how long anything took."),
    exporter_offline=described(
        BOOLEAN, "The exporter's own network was down at the latest probe: the report is older."
    ),
    history=described(array_schema(RESULT), "The latest results, the newest first."),
    last_failures=described(array_schema(RESULT), "The latest failures, the newest first."),
)
ERROR = object_schema(error=described(STRING, "A sentence on what to do."))

# ---------------------------------------------------------------- the shape of the public federation tester

MESSAGE = object_with_names({"Message": STRING})
TESTER_WELL_KNOWN = object_with_names({"m.server": STRING, "result": STRING, "CacheExpiresAt": INTEGER}, ["result"])
TESTER_SRV_RECORD = object_with_names({"Target": STRING, "Port": INTEGER, "Priority": INTEGER, "Weight": INTEGER})
TESTER_HOST = object_with_names({"CName": STRING, "Addrs": nullable(array_schema(STRING)), "Error": nullable(MESSAGE)})
TESTER_DNS = object_with_names(
    {
        "SRVSkipped": BOOLEAN,
        "SRVCName": STRING,
        "SRVRecords": nullable(array_schema(TESTER_SRV_RECORD)),
        "SRVError": nullable(MESSAGE),
        "Hosts": map_schema(TESTER_HOST),
        "Addrs": nullable(array_schema(STRING)),
    }
)
TESTER_CERTIFICATE = object_with_names(
    {
        "SubjectCommonName": STRING,
        "IssuerCommonName": STRING,
        "SHA256Fingerprint": described(STRING, "Unpadded base64."),
        "DNSNames": nullable(array_schema(STRING)),
    }
)
TESTER_CHECKS = object_with_names(
    {
        "AllChecksOK": BOOLEAN,
        "MatchingServerName": BOOLEAN,
        "FutureValidUntilTS": BOOLEAN,
        "HasEd25519Key": BOOLEAN,
        "AllEd25519ChecksOK": described(nullable(BOOLEAN), "null where there is no key to check."),
        "Ed25519Checks": map_schema(object_with_names({"ValidEd25519": BOOLEAN, "MatchingSignature": BOOLEAN})),
        "ValidCertificates": BOOLEAN,
    }
)
TESTER_CONNECTION = object_with_names(
    {
        "Certificates": array_schema(TESTER_CERTIFICATE),
        "Cipher": object_with_names({"Version": STRING, "CipherSuite": STRING}),
        "Checks": TESTER_CHECKS,
        "Errors": array_schema(MESSAGE),
        "Ed25519VerifyKeys": nullable(map_schema(STRING)),
        "Info": {"type": "object"},
        "Keys": described(
            {"type": ["object", "null"]}, "As the server sent them, up to 8 KiB; null beyond, or where unknown."
        ),
    }
)
TESTER_REPORT = object_with_names(
    {
        "Error": described(STRING, "There only where nothing is known."),
        "WellKnownResult": TESTER_WELL_KNOWN,
        "DNSResult": TESTER_DNS,
        "ConnectionReports": map_schema(TESTER_CONNECTION),
        "ConnectionErrors": map_schema(MESSAGE),
        "Version": object_with_names(
            {"name": STRING, "version": STRING, "error": STRING}, ["name", "version", "error"]
        ),
        "FederationOK": described(BOOLEAN, "At least one endpoint passed every stage."),
    },
    ["Error"],
)

SCHEMAS: Final[dict[str, Schema]] = {"Report": REPORT, "TesterReport": TESTER_REPORT, "Error": ERROR}
