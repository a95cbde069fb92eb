"""How a homeserver answers requests for its version and for its keys."""

import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.agreement.fuzz.draw import USUAL
from tests.agreement.served import engine

UNRECOGNIZED: Final = {"errcode": "MUNRECOGNIZED", "error": "Unrecognized request"}
_VERSION: Final = {"server": {"name": "Agreement", "version": "1.0"}}

VERSIONS: Final[Mapping[str, Any]] = {
    USUAL: None,
    "status 404": engine.Answer(404, UNRECOGNIZED),
    "status 502": engine.html(502),
    "status 403": engine.html(403),
    "a page": engine.html(200),
    "an empty object": engine.Answer(200, {}),
    "a list": engine.Answer(200, []),
    "server is null": engine.Answer(200, {"server": None}),
    "a redirect": engine.redirect("/elsewhere"),
    "plain text": engine.Answer(200, _VERSION, content_type="text/plain"),
    "100 kB": engine.Answer(200, {**_VERSION, "x": "y" * 100_000}),
    "nothing": engine.Answer(raw=b""),
    "not HTTP": engine.Answer(raw=b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
}


def _of_status(status: int) -> Callable[[Any], Any]:
    return lambda document: engine.Answer(status, document)


def _of_type(kind: str | None) -> Callable[[Any], Any]:
    return lambda document: engine.Answer(200, document, content_type=kind)


KEY_ANSWERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    # The document -> how it is answered.
    USUAL: lambda document: engine.Answer(200, document),
    **{
        f"status {status}": _of_status(status)
        for status in (201, 202, 203, 206, 300, 304, 400, 401, 403, 404, 418, 429, 500, 502)
    },
    "a redirect": lambda _: engine.redirect(engine.KEYS + "/"),
    "a permanent redirect": lambda _: engine.redirect(engine.KEYS + "/", 308),
    **{
        f"type {kind}": _of_type(kind)
        for kind in (
            *("text/plain", "text/html", "application/problem+json", "application/json; charset=utf-8", None),
            *("application/json; charset=latin-1", "application/JSON", "application/json;", " application/json"),
            *("text/json", "application/json, text/html", "application/jsonp", "json", "application/ json"),
        )
    },
    "the type twice": lambda document: engine.Answer(200, document, (("Content-Type", "application/json"),)),
    "the type twice, unlike": lambda document: engine.Answer(200, document, (("Content-Type", "text/html"),)),
    "a byte order mark": lambda document: engine.Answer(200, b"\xef\xbb\xbf" + json.dumps(document).encode()),
    "UTF-16": lambda document: engine.Answer(200, json.dumps(document).encode("utf-16")),
    "gzip": lambda document: engine.Answer(
        200, gzip.compress(json.dumps(document).encode()), (("Content-Encoding", "gzip"),)
    ),
    "gzip told, but plain": lambda document: engine.Answer(200, document, (("Content-Encoding", "gzip"),)),
    "a comment after": lambda document: engine.Answer(200, json.dumps(document) + "\n<!-- 12 ms -->"),
    "blanks around": lambda document: engine.Answer(200, f"\r\n {json.dumps(document)}\n\n"),
    "indented": lambda document: engine.Answer(200, json.dumps(document, indent=4)),
    "an empty body": lambda _: engine.Answer(200, ""),
    "cut off": lambda document: engine.Answer(200, json.dumps(document)[:-1]),
    "a list around it": lambda document: engine.Answer(200, [document]),
    "null": lambda _: engine.Answer(200, "null"),
    "NaN in it": lambda document: engine.Answer(200, json.dumps(document)[:-1] + ', "x": NaN}'),
    "a field twice": lambda document: engine.Answer(200, json.dumps(document)[:-1] + ', "valid_until_ts": 1}'),
    "a field twice, the last good": lambda document: engine.Answer(
        200, '{"valid_until_ts": 1, ' + json.dumps(document)[1:]
    ),
    "chunked": lambda document: engine.Answer(200, document, framing="chunked"),
    "HTTP/1.0": lambda document: engine.Answer(200, document, framing="close", protocol="HTTP/1.0"),
    "shorter than announced": lambda document: engine.Answer(
        raw=b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
        + json.dumps(document).encode()
    ),
    "nothing": lambda _: engine.Answer(raw=b""),
    "signature wrong": lambda document: engine.Answer(200, {**document, "x": 1}),
    "signatures left out": lambda document: engine.Answer(200, {**document, "signatures": {}}),
    "signatures are null": lambda document: engine.Answer(200, {**document, "signatures": None}),
    "no field signatures": lambda document: engine.Answer(
        200, {name: value for name, value in document.items() if name != "signatures"}
    ),
    "unsigned fields": lambda document: engine.Answer(200, {**document, "unsigned": {"age": 1}}),
}
