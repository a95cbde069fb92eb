"""JSON: bodies that are not JSON, too deep, too large, or have unexpected content, in correct HTTP responses."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.demo.homeserver import VERSION
from exporter.demo.https_server import WELL_KNOWN
from exporter.model.reasons import Reason
from tests.lab.hostile.raw_responses import BadResponse, RawResponse, http_response
from tests.lab.hostile.rows import numbered

MAX_WELL_KNOWN_BYTES = 50 * 1024
ESCAPES = '\x1b[31m\n# HELP up\nup{a="b"} 1\r<script>alert(1)</script>\u202e'


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A row: the response to requests for `path` has this `body`."""

    label: str
    shows: str
    path: str
    body: bytes
    reason: Reason | None

    def as_bad_response(self) -> BadResponse:
        return BadResponse(
            f"json-{self.label}", self.shows, self.path, lambda *_: RawResponse(http_response(self.body)), self.reason
        )


NOT_JSON: Mapping[str, tuple[str, bytes]] = {
    "depth": ("arrays in arrays, 40,000 deep", b"[" * 40_000),
    "objects": ("objects in objects, 3000 deep", b'{"a":' * 3000 + b"1" + b"}" * 3000),
    "nan": ("NaN", b'{"a": NaN}'),
    "infinity": ("Infinity", b'{"a": Infinity}'),
    "minus-infinity": ("-Infinity", b'{"a": -Infinity}'),
    "digits": ("an integer of 40,000 digits", b'{"a": ' + b"9" * 40_000 + b"}"),
    "bom": ("a byte order mark", b"\xef\xbb\xbf{}"),
    "utf-16": ("UTF-16", "{}".encode("utf-16")),
    "latin-1": ("bytes that are not UTF-8", '{"a": "é"}'.encode("latin-1")),
    "surrogate-bytes": ("a surrogate in UTF-8", b'{"a": "\xed\xa0\x80"}'),
    "nothing": ("an empty body", b""),
    "blanks": ("only spaces", b" " * 40_000),
    "nul": ("a NUL after the document", b"{}\0"),
    "half": ("half an object", b'{"a": '),
    "comma": ("a trailing comma", b'{"a": 1,}'),
    "quotes": ("single quotes", b"{'a': 1}"),
    "line-break": ("a line break in a string", b'{"a": "b\nc"}'),
    "comment": ("a comment", b"{} // done"),
    "html": ("a web page", b"<!doctype html><script>alert(1)</script>"),
}
NOT_AN_OBJECT = {"array": b"[]", "string": b'"x"', "number": b"1", "null": b"null", "true": b"true"}


def well_known(label: str, shows: str, body: bytes, reason: Reason | None = Reason.INVALID_DELEGATION) -> DocumentRow:
    return DocumentRow(f"web-{label}", shows, WELL_KNOWN, body, reason)


def delegates_to(label: str, m_server: object) -> DocumentRow:
    text = json.dumps(m_server)
    shows = f"m.server is {text if len(text) < 50 else f'{len(text)} bytes long'}"
    return well_known(f"m-server-{label}", shows, json.dumps({"m.server": m_server}).encode())


def odd(label: str, shows: str, change: Callable[[bytes], bytes]) -> BadResponse:
    """An oddity that does not make the delegation invalid."""
    return BadResponse(
        f"json-web-{label}", shows, WELL_KNOWN, lambda _, body: RawResponse(http_response(change(body))), None
    )


def beside(member: bytes) -> Callable[[bytes], bytes]:
    """Put a member before the correct ones: of members of the same name, peers use the last one."""
    return lambda body: b"{" + member + b", " + body.removeprefix(b"{")


def version(label: str, shows: str, server: object, reason: Reason | None = Reason.INVALID_CONTENT) -> DocumentRow:
    return DocumentRow(f"version-{label}", shows, VERSION, json.dumps({"server": server}).encode(), reason)


DELEGATIONS = (
    *(
        well_known(f"is-{json_type}", f"{json_type} instead of an object", body)
        for json_type, body in NOT_AN_OBJECT.items()
    ),
    delegates_to("number", 8448),
    delegates_to("null", None),
    delegates_to("array", ["hs.test"]),
    delegates_to("object", {"host": "hs.test"}),
    delegates_to("empty", ""),
    delegates_to("url", "https://hs.test/"),
    delegates_to("user-id", "@user:hs.test"),
    delegates_to("port", "hs.test:99999"),
    delegates_to("digits", "hs.test:" + "9" * 40_000),
    delegates_to("long", "a" * 40_000),
    delegates_to("brackets", "[" + "\n" * 10_000 + "]"),
    delegates_to("colons", "[" + ":" * 40_000 + "]"),
    delegates_to("escapes", ESCAPES),
    delegates_to("surrogate", "\ud800"),
    delegates_to("unicode", "hs\u3002test"),
    delegates_to("zone", "[fe80::1%lo]"),
    well_known("case", "the key in another case", b'{"M.Server": "hs.test"}'),
    well_known("larger", "a byte more than 50 KiB", b"{}".ljust(MAX_WELL_KNOWN_BYTES + 1), Reason.TOO_LARGE),
)
ODDITIES = (
    odd("largest", "50 KiB, the most that peers read", lambda body: body.ljust(MAX_WELL_KNOWN_BYTES)),
    odd("twice", "two m.server members, the last of which counts", beside(b'"m.server": 1')),
    odd("float", "a number that no float can represent", beside(b'"a": -1e99999')),
    odd("lone-surrogate", "a lone surrogate in a member that no peer reads", beside(rb'"\udfff": "\ud800"')),
    odd("deep", "arrays in arrays, 100 deep", beside(b'"a": ' + b"[" * 100 + b"]" * 100)),
    odd("wide", "4000 small objects", beside(b'"a": [' + b'{"":0},' * 4000 + b"0]")),
)
VERSIONS = (
    version("array", "the server is an array", []),
    version("null", "the server is null", None),
    version("string", "the server is a string", "Synapse"),
    version("name-number", "the server's name is a number", {"name": 1}),
    version("name-null", "the server's name is null", {"name": None}),
    version("version-object", "the server's version is an object", {"version": {}}),
    version("long", "a name of 16,000 characters", {"name": "x" * 16_000}, None),
    version(
        "escapes", "escape sequences, line breaks and markup in the name", {"name": ESCAPES, "version": ESCAPES}, None
    ),
    version("surrogate", "a lone surrogate in the name", {"name": "\ud800"}, None),
)
ROWS = (
    *(well_known(label, shows, body, Reason.NOT_JSON) for label, (shows, body) in NOT_JSON.items()),
    *DELEGATIONS,
    *VERSIONS,
)
DOCUMENT_SERVERS = numbered("198.18.3.", [*(row.as_bad_response() for row in ROWS), *ODDITIES])
