"""The kinds of values in a configuration: each says what it expects, and reads what was written into a typed value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from exporter.config import addresses
from exporter.config.addresses import SecretError
from exporter.config.complaint import printable_value
from exporter.config.document import BOOLEANS, NOTHING, UnsupportedScalar
from exporter.model import durations, names

_MAX_CONCURRENCY = 10_000  # each probe holds a handful of sockets, and files and ports are finite

MAX_NOTARIES = 3  # each is asked about every server
MAX_ANCHORS = 8  # as many as are asked one after the other before a verdict

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_RESERVED_HEADERS = {"accept-encoding", "connection", "content-length", "host", "te", "transfer-encoding", "upgrade"}
"""They are the business of HTTP itself."""


class AddressScope(StrEnum):
    """Which addresses a probe may connect to."""

    PUBLIC = "public"
    ANY = "any"


class UnexpectedError(ValueError):
    """A value of the wrong kind: what was expected and, where that is known, what to do."""

    def __init__(self, expected: str, remedy: str, *, secret: bool = False) -> None:
        super().__init__(expected)
        self.expected, self.remedy, self.secret = expected, remedy, secret


Parser: TypeAlias = Callable[[Any], object]
"""Raises ValueError, whose text is the remedy; it may be empty."""


@dataclass(frozen=True, slots=True, eq=False)
class ValueType:
    """To stand in `Annotated`: pydantic asks it for the value, and for the JSON Schema of what is written."""

    expected: str
    read: Parser
    schema: dict[str, object]

    def __call__(self, value: object) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            raise UnexpectedError(self.expected, str(error), secret=isinstance(error, SecretError)) from error

    def __get_pydantic_core_schema__(self, _type: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**self.schema, "description": f"Expected: {self.expected}"}


# ---------------------------------------------------------------- how values are read


def text(read: Callable[[str], object]) -> Parser:
    def read_text(value: object) -> object:
        if isinstance(value, str):
            return read(value)
        meant = as_written(value)
        if meant is None:
            raise ValueError
        read(meant)  # what else is wrong with it comes first
        raise ValueError("put it into quotes")

    return read_text


def as_written(value: object) -> str | None:
    """The text behind a value that YAML took for something else; none where there is none."""
    match value:
        case UnsupportedScalar(text=written) if written:
            return written
        case int() if not isinstance(value, bool):
            return str(value)
        case [str(item)] if ":" in item:
            return f"[{item}]"  # an IPv6 address
    return None


def _or_null(read: Parser) -> Parser:
    return lambda value: None if isinstance(value, UnsupportedScalar) and value.read_as == NOTHING else read(value)


def _address_scope(written: str) -> AddressScope:
    try:
        return AddressScope(written)
    except ValueError as error:
        raise ValueError from error


def path(written: str) -> Path:
    if not written or "\0" in written:
        raise ValueError
    return Path(written)


def _pattern(written: str) -> str:
    return str(path(written))


def _boolean(value: object) -> bool:
    if isinstance(value, bool):  # JSON
        return value
    if isinstance(value, UnsupportedScalar) and value.read_as in BOOLEANS:
        return BOOLEANS[value.read_as]
    raise ValueError("leave the quotes away" if value in ("true", "false") else "")


def _whole_number(most: int) -> Parser:
    def read_number(value: object) -> int:
        if type(value) is int and 1 <= value <= most:
            return value
        raise ValueError("leave the quotes away" if isinstance(value, str) and value.isdecimal() else "")

    return read_number


def _headers(value: object) -> dict[str, str]:
    """Nothing of them is shown but their names: API keys are sent in headers."""
    if not isinstance(value, dict):
        raise SecretError("write one `name: value` on each line")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise SecretError(f"`{printable_value(name)}` is no header that can be sent")
        if not isinstance(content, str) or not _HEADER_VALUE.fullmatch(content):
            raise SecretError(f"the value of {name} must be a text of printable ASCII characters, put it into quotes")
    return value


# ---------------------------------------------------------------- the kinds

STRING: dict[str, object] = {"type": "string", "minLength": 1}

SERVER_NAME = ValueType("a server name such as example.org or example.org:8448", text(names.parse), STRING)
DURATION = ValueType(
    "a duration such as 90s, 5m or 1h30m",
    text(durations.parse),
    {"type": "string", "pattern": f"^{durations.DURATION.pattern}$", "minLength": 1},
)
TARGET = ValueType("a host and a port such as matrix.example.org:443", text(addresses.parse_target), STRING)
RESOLVER = ValueType(
    "an IP address, with or without a port, such as 192.0.2.53 or [2001:db8::53]:5353",
    text(addresses.parse_resolver),
    STRING,
)
ADDRESS = ValueType("an IP address and a port such as 127.0.0.1:10443", text(addresses.parse_address), STRING)
DESTINATION = ValueType(
    "a host and a port such as matrix.example.org:443", text(addresses.canonical_destination), STRING
)
LISTEN_ADDRESS = ValueType(
    "an address and a port such as 127.0.0.1:10448", text(addresses.parse_listen_address), STRING
)
NETWORK = ValueType("a network such as 10.0.0.0/8 or fd00::/8", text(addresses.parse_network), STRING)
ADDRESS_SCOPE = ValueType("`public` or `any`", text(_address_scope), {"enum": list(AddressScope)})
CONCURRENCY = ValueType(
    f"a whole number from 1 to {_MAX_CONCURRENCY}",
    _whole_number(_MAX_CONCURRENCY),
    {"type": "integer", "minimum": 1, "maximum": _MAX_CONCURRENCY},
)
PORT = ValueType(
    f"a port from 1 to {names.MAX_PORT}",
    _whole_number(names.MAX_PORT),
    {"type": "integer", "minimum": 1, "maximum": names.MAX_PORT},
)
BOOLEAN = ValueType("`true` or `false`", _boolean, {"type": "boolean"})
CA_FILE = ValueType(
    "the path of a file with PEM certificates, or null",
    _or_null(text(path)),
    {"type": ["string", "null"], "minLength": 1},
)
TOKEN_FILE = ValueType("the path of a file with a token", text(path), STRING)
URL = ValueType("a URL such as https://example.org/servers.json", text(addresses.parse_url), STRING)
BASE_URL = ValueType("a URL such as https://matrix.example.org", text(addresses.parse_base_url), STRING)
HEADERS = ValueType(
    "a mapping of header names to texts", _headers, {"type": "object", "additionalProperties": {"type": "string"}}
)
GLOB = ValueType("the path of a file, or a pattern such as servers.d/*.yaml", text(_pattern), STRING)
