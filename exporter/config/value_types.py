"""The types of values in a configuration. Each has a description and parses a value as it is written in YAML."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from exporter.config import addresses
from exporter.config.addresses import SecretError
from exporter.config.complaint import printable_value
from exporter.config.yaml_reader import BOOLEANS, NULL, UnsupportedScalar
from exporter.metrics.families import METRIC_NAMES
from exporter.model import durations, names, servers, signing_keys
from exporter.model.enums import IPFamily
from exporter.model.servers import DEFAULT_GROUP, MAX_LABEL_VALUE, parse_label_name, parse_label_value

_MAX_CONCURRENCY = 10_000  # each probe has a few sockets open, and file descriptors and ports are limited

_MAX_SERVERS = 1_000_000  # of one list; for so many servers, there are dozens of exporters that share it
MAX_NOTARIES = 3  # each of them is queried about every server
MAX_EXPECTED = 32  # keys or networks of one server: each is compared with every one that is found
MAX_ANCHORS = 8  # they are tried one after the other before the exporter concludes that it is offline

_REMOVE_QUOTES = "remove the quotes"
"""The remedy for a number or a boolean that is written as a string."""

_GROUP_NAME = re.compile("[A-Za-z0-9_.-]{1,64}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_RESERVED_HEADERS = {"accept-encoding", "connection", "content-length", "host", "te", "transfer-encoding", "upgrade"}
"""The HTTP client sets these itself."""


class AddressScope(StrEnum):
    """The addresses that a probe may connect to."""

    PUBLIC = "public"
    ANY = "any"


class UnexpectedError(ValueError):
    """A value of the wrong type. `expected` describes the type; `remedy` says what to do and may be empty."""

    def __init__(self, expected: str, remedy: str, *, secret: bool = False) -> None:
        super().__init__(expected)
        self.expected, self.remedy, self.secret = expected, remedy, secret


Parser: TypeAlias = Callable[[Any], object]
"""Raises ValueError, whose message is the remedy; the message may be empty."""


@dataclass(frozen=True, slots=True, eq=False)
class ValueType:
    """An annotation for pydantic: it validates a value, and generates the JSON Schema of the value in the file."""

    expected: str
    parse: Parser
    schema: dict[str, object]

    def __call__(self, value: object) -> Any:
        """Raises UnexpectedError."""
        try:
            return self.parse(value)
        except ValueError as error:
            raise UnexpectedError(self.expected, str(error), secret=isinstance(error, SecretError)) from error

    def __get_pydantic_core_schema__(self, _type: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**self.schema, "description": f"Expected: {self.expected}"}


# ---------------------------------------------------------------- parsers


def parse_text(parse: Callable[[str], object]) -> Parser:
    """Return a parser that accepts strings only. It advises quotes if the value would be valid as a string."""

    def parse_string(value: object) -> object:
        if isinstance(value, str):
            return parse(value)
        written = original_text(value)
        if written is None:
            raise ValueError
        parse(written)  # raises an error that matters more than the quotes
        raise ValueError("put it in quotes")

    return parse_string


def original_text(value: object) -> str | None:
    """Return the text of a value that YAML does not read as a string, or None if the text is unknown. There are three
    kinds of values whose text is known:

    - scalars that are unsupported, such as `on` or a date,
    - decimal integers,
    - lists of one string with a colon, which are unquoted IPv6 addresses in brackets.
    """
    match value:
        case UnsupportedScalar(text=written) if written:
            return written
        case int() if not isinstance(value, bool):
            return str(value)
        case [str(item)] if ":" in item:
            return f"[{item}]"
    return None


def _or_null(parse: Parser) -> Parser:
    return lambda value: None if isinstance(value, UnsupportedScalar) and value.read_as == NULL else parse(value)


def none_if_null(value: object) -> object:
    """Return a section as it is written, or None where it is written as null."""
    return None if isinstance(value, UnsupportedScalar) and value.read_as == NULL else value


def _parse_address_scope(written: str) -> AddressScope:
    try:
        return AddressScope(written)
    except ValueError as error:
        raise ValueError from error


def _parse_ip_family(written: str) -> IPFamily:
    try:
        return IPFamily(written)
    except ValueError as error:
        raise ValueError from error


def _parse_group_name(written: str) -> str:
    if written == DEFAULT_GROUP:
        raise ValueError("this is the group of the lists at the top level, so choose another name")
    if not _GROUP_NAME.fullmatch(written):
        raise ValueError("use at most 64 letters, digits, dots, hyphens and underscores")
    return written


def _parse_metric(written: str) -> str:
    """Return the full name of a metric of the servers."""
    if written not in METRIC_NAMES:
        nearest = get_close_matches(written, METRIC_NAMES, n=1)
        raise ValueError(f"did you mean `{nearest[0]}`?" if nearest else "docs/metrics.md lists them")
    return written


def parse_path(written: str) -> Path:
    if not written or "\0" in written:
        raise ValueError
    return Path(written)


def _parse_pattern(written: str) -> str:
    return str(parse_path(written))


def _parse_boolean(value: object) -> bool:
    if isinstance(value, bool):  # from JSON
        return value
    if isinstance(value, UnsupportedScalar) and value.read_as in BOOLEANS:
        return BOOLEANS[value.read_as]
    raise ValueError(_REMOVE_QUOTES if value in ("true", "false") else "")


def whole_number(most: float) -> Parser:
    """Return a parser of the integers from 1 to `most`."""

    def parse_number(value: object) -> int:
        if type(value) is int and 1 <= value <= most:
            return value
        raise ValueError(_REMOVE_QUOTES if isinstance(value, str) and value.isdecimal() else "")

    return parse_number


def _parse_headers(value: object) -> dict[str, str]:
    """Complaints show only the names of headers: their values may be API keys."""
    if not isinstance(value, dict):
        raise SecretError("write each header as `name: value` on a line of its own")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise SecretError(f"`{printable_value(name)}` is not a valid header name")
        if name.lower() in _RESERVED_HEADERS:
            raise SecretError(f"the header `{name}` cannot be set")
        if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            raise SecretError(f"put the value of {name} in quotes, and use only printable ASCII characters")
    return value


# ---------------------------------------------------------------- types

STRING: dict[str, object] = {"type": "string", "minLength": 1}
STRING_OR_NULL: dict[str, object] = {"type": ["string", "null"], "minLength": 1}

SERVER_NAME = ValueType("a server name such as example.org or example.org:8448", parse_text(names.parse), STRING)
GROUP_NAME = ValueType("the name of a group such as ours", parse_text(_parse_group_name), STRING)
LABEL_NAME = ValueType("a label name such as team", parse_text(parse_label_name), STRING)
LABEL_VALUE = ValueType(
    f"a label value of at most {MAX_LABEL_VALUE} printable characters",
    parse_text(parse_label_value),
    {"type": "string", "maxLength": MAX_LABEL_VALUE},
)
DURATION = ValueType(
    "a duration such as 90s, 5m or 1h30m",
    parse_text(durations.parse),
    {"type": "string", "pattern": f"^{durations.DURATION.pattern}$", "minLength": 1},
)
TARGET = ValueType("a host and a port such as matrix.example.org:443", parse_text(addresses.parse_target), STRING)
RESOLVER = ValueType(
    "an IP address, with or without a port, such as 192.0.2.53 or [2001:db8::53]:5353",
    parse_text(addresses.parse_resolver),
    STRING,
)
ADDRESS = ValueType("an IP address and a port such as 127.0.0.1:10443", parse_text(addresses.parse_address), STRING)
DESTINATION = ValueType(
    "a host and a port such as matrix.example.org:443", parse_text(addresses.canonical_destination), STRING
)
LISTEN_ADDRESS = ValueType(
    "an address and a port such as 127.0.0.1:10448, or unix:/path", parse_text(addresses.parse_listen_address), STRING
)
NETWORK = ValueType("a network such as 10.0.0.0/8 or fd00::/8", parse_text(addresses.parse_network), STRING)
ADDRESS_OR_NETWORK = ValueType(
    "an address or a network such as 192.0.2.1 or 2001:db8::/32", parse_text(addresses.parse_address_or_network), STRING
)
PINNED_KEY = ValueType(
    "a key ID such as ed25519:a_1, with or without the key in base64",
    parse_text(signing_keys.parse_pinned_key),
    STRING,
)
SOFTWARE = ValueType(
    "the name of a homeserver such as Synapse or Synapse 1.163, or null",
    _or_null(parse_text(servers.parse_expected_software)),
    STRING_OR_NULL,
)
ISSUER = ValueType(
    "the name of a certificate authority such as Let's Encrypt, or null",
    _or_null(parse_text(servers.parse_expected_name)),
    STRING_OR_NULL,
)
ADDRESS_SCOPE = ValueType("`public` or `any`", parse_text(_parse_address_scope), {"enum": list(AddressScope)})
IP_FAMILY = ValueType("`ipv4` or `ipv6`", parse_text(_parse_ip_family), {"enum": list(IPFamily)})
CONCURRENCY = ValueType(
    f"a whole number from 1 to {_MAX_CONCURRENCY}",
    whole_number(_MAX_CONCURRENCY),
    {"type": "integer", "minimum": 1, "maximum": _MAX_CONCURRENCY},
)
LIST_LENGTH = ValueType(
    f"a whole number from 1 to {_MAX_SERVERS}",
    whole_number(_MAX_SERVERS),
    {"type": "integer", "minimum": 1, "maximum": _MAX_SERVERS},
)
METRIC = ValueType("the name of a metric of the servers", parse_text(_parse_metric), {"enum": list(METRIC_NAMES)})
PORT = ValueType(
    f"a port from 1 to {names.MAX_PORT}",
    whole_number(names.MAX_PORT),
    {"type": "integer", "minimum": 1, "maximum": names.MAX_PORT},
)
BOOLEAN = ValueType("`true` or `false`", _parse_boolean, {"type": "boolean"})
CA_FILE = ValueType(
    "the path of a file with PEM certificates, or null",
    _or_null(parse_text(parse_path)),
    STRING_OR_NULL,
)
STORAGE_FILE = ValueType("the path of a file, or null", _or_null(parse_text(parse_path)), STRING_OR_NULL)
PEM_FILE = ValueType("the path of a PEM file", parse_text(parse_path), STRING)
KEY_FILE = ValueType("the path of a file with a signing key", parse_text(parse_path), STRING)
TOKEN_FILE = ValueType("the path of a file with a token", parse_text(parse_path), STRING)
PROXY_URL = ValueType(
    "the URL of an HTTP proxy such as http://proxy.example.org:3128", parse_text(addresses.parse_proxy_url), STRING
)
CREDENTIALS_FILE = ValueType("the path of a file with a user and a password", parse_text(parse_path), STRING)
URL = ValueType("a URL such as https://example.org/servers.json", parse_text(addresses.parse_url), STRING)
BASE_URL = ValueType("a URL such as https://matrix.example.org", parse_text(addresses.parse_base_url), STRING)
HEADERS = ValueType(
    "a mapping of header names to strings",
    _parse_headers,
    {"type": "object", "additionalProperties": {"type": "string"}},
)
GLOB = ValueType("the path of a file, or a pattern such as servers.d/*.yaml", parse_text(_parse_pattern), STRING)
