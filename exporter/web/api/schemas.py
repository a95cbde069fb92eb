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


def an_object(optional: Iterable[str] = (), **fields: Schema) -> Schema:
    """Every field is there, but for the optional ones."""
    return {"type": "object", "required": [name for name in fields if name not in optional], "properties": fields}


def with_names(fields: dict[str, Schema], optional: Iterable[str] = ()) -> Schema:
    """As `an_object`, for names that are none in Python."""
    return an_object(optional, **fields)


def a_list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def by_name(values: Schema) -> Schema:
    """A mapping with keys of any kind."""
    return {"type": "object", "additionalProperties": values}


def one_of(kind: type[StrEnum]) -> Schema:
    return {"type": "string", "enum": [member.value for member in kind]}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def shape(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# ---------------------------------------------------------------- our own report

SRV_RECORD = an_object(target=STRING, port=INTEGER, priority=INTEGER, weight=INTEGER)
SRV = with_names({service.value: a_list(SRV_RECORD) for service in SrvService})
STAGE = an_object(stage=one_of(Stage), ok=BOOLEAN, duration_seconds=SECONDS)
RESULT = an_object(
    checked_at=MOMENT,
    duration_seconds=SECONDS,
    federation_ok=BOOLEAN,
    problems=a_list(an_object(stage=one_of(Stage), reason=one_of(Reason))),
    exporter_blind=told(BOOLEAN, "The exporter's own network was down: neither a success nor a failure of the server."),
)
WELL_KNOWN = an_object(
    outcome={"type": "string", "enum": ["valid", "absent", "failed"]},
    reason=told(or_null(one_of(Reason)), "Beside the outcome absent, too."),
    m_server=or_null(STRING),
    cache_seconds=or_null(INTEGER),
)
DELEGATION = an_object(
    method=told(one_of(Method), "The step of server discovery that decided."),
    targets=told(a_list(STRING), "In the order in which a peer tries them."),
    host_header=STRING,
    tls_name=STRING,
    sni=or_null(STRING),
    well_known=told(or_null(WELL_KNOWN), "null where the specification does not ask for it."),
    srv=SRV,
)
PROBLEM = an_object(stage=one_of(Stage), reason=one_of(Reason), endpoint=or_null(STRING), detail=STRING, remedy=STRING)
WARNING = an_object(warning=one_of(WarningName), detail=STRING, remedy=STRING)
CERTIFICATE = an_object(
    not_before=MOMENT,
    not_after=MOMENT,
    chain_not_after=told(MOMENT, "The earliest expiry in the chain as presented."),
    issuer=STRING,
    subject=STRING,
    names=a_list(STRING),
    fingerprint_sha256=FINGERPRINT,
    valid=BOOLEAN,
)
ENDPOINT = an_object(
    address=STRING,
    target=STRING,
    ip_family=one_of(IPFamily),
    ok=BOOLEAN,
    stages=a_list(STAGE),
    certificate=or_null(CERTIFICATE),
    tls_version=or_null(STRING),
    server=or_null(an_object(name=or_null(STRING), version=or_null(STRING))),
    keys=told(or_null(by_name(STRING)), "The valid verify keys by key id, as unpadded base64."),
    valid_until=or_null(MOMENT),
    host_with_port_differs=told(or_null(STRING), "How the answers change when Host bears the port."),
)
NOTARY = an_object(
    server_name=STRING,
    ok=told(or_null(BOOLEAN), "null where it was inconclusive."),
    inconclusive_because=or_null(STRING),
    keys=or_null(by_name(STRING)),
    valid_until=or_null(MOMENT),
)
DEEP_LOOK = an_object(
    checked_at=MOMENT,
    well_known_by_address=told(by_name(STRING), "What each address of the server name answers."),
    srv=told(or_null(SRV), "The server name's own records, where a well-known takes precedence."),
    notaries=told(a_list(NOTARY), "What each of network.notaries says of the server's keys."),
)
REPORT = an_object(
    server_name=STRING,
    checked_at=MOMENT,
    duration_seconds=SECONDS,
    federation_ok=BOOLEAN,
    delegation=or_null(DELEGATION),
    stages=a_list(STAGE),
    problems=a_list(PROBLEM),
    warnings=a_list(WARNING),
    endpoints=a_list(ENDPOINT),
    deep_look=told(or_null(DEEP_LOOK), "The latest one, which may be older than the report."),
    durations_spoiled=told(BOOLEAN, "The exporter itself was too slow to tell how long anything took."),
    exporter_blind=told(BOOLEAN, "The exporter's own network was down at the latest probe: the report is older."),
    history=told(a_list(RESULT), "The latest results, the newest first."),
    last_failures=told(a_list(RESULT), "The latest failures, the newest first."),
)
ERROR = an_object(error=told(STRING, "A sentence on what to do."))

# ---------------------------------------------------------------- the shape of the public federation tester

MESSAGE = with_names({"Message": STRING})
TESTER_WELL_KNOWN = with_names({"m.server": STRING, "result": STRING, "CacheExpiresAt": INTEGER}, ["result"])
TESTER_SRV_RECORD = with_names({"Target": STRING, "Port": INTEGER, "Priority": INTEGER, "Weight": INTEGER})
TESTER_HOST = with_names({"CName": STRING, "Addrs": or_null(a_list(STRING)), "Error": or_null(MESSAGE)})
TESTER_DNS = with_names(
    {
        "SRVSkipped": BOOLEAN,
        "SRVCName": STRING,
        "SRVRecords": or_null(a_list(TESTER_SRV_RECORD)),
        "SRVError": or_null(MESSAGE),
        "Hosts": by_name(TESTER_HOST),
        "Addrs": or_null(a_list(STRING)),
    }
)
TESTER_CERTIFICATE = with_names(
    {
        "SubjectCommonName": STRING,
        "IssuerCommonName": STRING,
        "SHA256Fingerprint": told(STRING, "Unpadded base64."),
        "DNSNames": or_null(a_list(STRING)),
    }
)
TESTER_CHECKS = with_names(
    {
        "AllChecksOK": BOOLEAN,
        "MatchingServerName": BOOLEAN,
        "FutureValidUntilTS": BOOLEAN,
        "HasEd25519Key": BOOLEAN,
        "AllEd25519ChecksOK": told(or_null(BOOLEAN), "null where there is no key to check."),
        "Ed25519Checks": by_name(with_names({"ValidEd25519": BOOLEAN, "MatchingSignature": BOOLEAN})),
        "ValidCertificates": BOOLEAN,
    }
)
TESTER_CONNECTION = with_names(
    {
        "Certificates": a_list(TESTER_CERTIFICATE),
        "Cipher": with_names({"Version": STRING, "CipherSuite": STRING}),
        "Checks": TESTER_CHECKS,
        "Errors": a_list(MESSAGE),
        "Ed25519VerifyKeys": or_null(by_name(STRING)),
        "Info": {"type": "object"},
        "Keys": told(
            {"type": ["object", "null"]}, "As the server sent them, up to 8 KiB; null beyond, or where unknown."
        ),
    }
)
TESTER_REPORT = with_names(
    {
        "Error": told(STRING, "There only where nothing is known."),
        "WellKnownResult": TESTER_WELL_KNOWN,
        "DNSResult": TESTER_DNS,
        "ConnectionReports": by_name(TESTER_CONNECTION),
        "ConnectionErrors": by_name(MESSAGE),
        "Version": with_names({"name": STRING, "version": STRING, "error": STRING}, ["name", "version", "error"]),
        "FederationOK": told(BOOLEAN, "At least one endpoint passed every stage."),
    },
    ["Error"],
)

SCHEMAS: Final[dict[str, Schema]] = {"Report": REPORT, "TesterReport": TESTER_REPORT, "Error": ERROR}
