"""Support documents, in which a server says whom to contact: none of them is a fault, and none does any harm."""

import json
from typing import Any, Final

from exporter.demo.https_server import SUPPORT
from tests.lab.hostile.documents import ESCAPES
from tests.lab.hostile.raw_responses import OK, BadResponse, RawResponse, http_response
from tests.lab.hostile.rows import numbered

_SCRIPT: Final = '"><script>alert(1)</script>'


def sends(label: str, shows: str, response: RawResponse) -> BadResponse:
    return BadResponse(f"support-{label}", shows, SUPPORT, lambda *_: response, None)


def says(label: str, shows: str, document: Any) -> BadResponse:
    return sends(label, shows, RawResponse(http_response(json.dumps(document).encode())))


def contact(text: Any) -> dict[str, Any]:
    """Return a contact whose every field is `text`."""
    return {"role": text, "matrix_id": text, "email_address": text}


def page(text: Any) -> dict[str, Any]:
    return {"contacts": [contact(text)], "support_page": text}


SUPPORT_SERVERS = numbered(
    "198.18.11.",
    (
        sends("endless", "a document without an end", RawResponse(OK + b"\r\n", b" " * 65536)),
        sends("claims", "a Content-Length of a terabyte", RawResponse(OK + b"Content-Length: 1099511627776\r\n\r\n{")),
        sends("large", "a document of 10 MiB", RawResponse(http_response(b'{"a": "' + b"x" * (10 << 20) + b'"}'))),
        sends("deep", "arrays in arrays, 60,000 deep", RawResponse(http_response(b"[" * 60_000))),
        sends("nothing", "a connection that is closed without a response", RawResponse(b"")),
        sends(
            "self",
            "a redirect to itself",
            RawResponse(http_response(b"", b"302 Found", b"Location: " + SUPPORT.encode())),
        ),
        sends(
            "script", "a redirect to a script", RawResponse(http_response(b"", b"302 Found", b"Location: javascript:x"))
        ),
        sends(
            "inside",
            "a redirect to the exporter's machine",
            RawResponse(http_response(b"", b"302 Found", b"Location: https://127.0.0.1/")),
        ),
        says("array", "an array instead of an object", []),
        says("types", "values of the wrong types", page([1, {}, None])),
        says("numbers", "numbers in place of texts", page(1)),
        says("null", "null everywhere", {"contacts": None, "support_page": None}),
        says("markup", "markup in every field", page(_SCRIPT)),
        says("escapes", "escape sequences, line breaks and markup in every field", page(ESCAPES)),
        says("surrogate", "lone surrogates in every field", page("\ud800")),
        says("wide", "texts beyond the basic multilingual plane", page("\U0001f600" * 1000)),
        says("link", "a page that is a script", page("javascript:alert(1)")),
        says("header", "an email address with a second header", page("a@b.test\r\nBcc: c@d.test")),
        says("many", "three thousand contacts", {"contacts": [contact("@a:b.test")] * 3000}),
        says("long", "texts of 4000 characters", page("a@" + "b" * 4000)),
    ),
)
