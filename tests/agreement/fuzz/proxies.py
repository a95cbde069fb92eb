"""What stands before a homeserver, and what it makes of all answers."""

import dataclasses
import gzip
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.agreement.fuzz.answers import UNRECOGNIZED
from tests.agreement.fuzz.draw import USUAL
from tests.agreement.served import engine


def _every(answer: Any) -> dict[str, Any]:
    return {"every": answer}


def _only(*paths: str) -> dict[str, Any]:
    """Return a proxy that forwards these paths alone."""
    return {"every": lambda request: None if request.path.startswith(paths) else engine.html(404)}


def _refuses(fits: Callable[[Any], bool], answer: Any) -> dict[str, Any]:
    return {"every": lambda request: answer if fits(request) else None}


def _changed(**fields: Any) -> dict[str, Any]:
    return {"change": lambda answer: dataclasses.replace(answer, **fields)}


def _host(request: Any) -> str:
    return str(request.headers.get("host", "")).rpartition("]")[2]


def _gzipped(answer: Any) -> Any:
    headers = (*answer.headers, ("Content-Encoding", "gzip"))
    return dataclasses.replace(answer, body=gzip.compress(answer.body), headers=headers)


def _of_user_agent(*names: str) -> Callable[[Any], bool]:
    return lambda request: request.headers.get("user-agent", "").startswith(names)


PROXIES: Final[Mapping[str, dict[str, Any]]] = {
    # What stands before the homeserver, as options of `Federation.homeserver`.
    USUAL: {},
    "misdirected": _every(engine.Answer(421)),
    "bad gateway": _every(engine.html(502)),
    "unavailable": _every(engine.html(503)),
    "no content": _every(engine.Answer(204, framing="none")),
    "a page": _every(engine.html(200)),
    "a redirect": _every(engine.redirect("/login")),
    "nothing": _every(engine.Answer(raw=b"")),
    "a Matrix error": _every(engine.Answer(404, UNRECOGNIZED)),
    "a password demanded": _every(engine.html(401, headers=(("WWW-Authenticate", "Basic"),))),
    "keys only": _only("/_matrix/key/"),
    "version and keys only": _only("/_matrix/key/", "/_matrix/federation/v1/version"),
    "federation only": _only("/_matrix/federation/"),
    "v1 and keys only": _only("/_matrix/key/", "/_matrix/federation/v1/"),
    "v2 and keys only": _only("/_matrix/key/", "/_matrix/federation/v2/"),
    "no query": _refuses(lambda request: "/query/" in request.path, engine.html(404)),
    "no query, as JSON": _refuses(lambda request: "/query/" in request.path, engine.Answer(404, {"error": "gone"})),
    "query answers 200": _refuses(lambda request: "/query/" in request.path, engine.html(200)),
    "query answers 403": _refuses(lambda request: "/query/" in request.path, engine.html(403)),
    "query redirects": _refuses(lambda request: "/query/" in request.path, engine.redirect("/login")),
    "percent signs refused": _refuses(lambda request: "%" in request.target, engine.html(400)),
    "percent signs in paths refused": _refuses(lambda request: "%" in request.path, engine.html(400)),
    "queries refused": _refuses(lambda request: "?" in request.target, engine.html(403)),
    "Host with a port refused": _refuses(lambda request: ":" in _host(request), engine.html(404)),
    "Host without a port refused": _refuses(lambda request: ":" not in _host(request), engine.html(404)),
    "Host with capitals refused": _refuses(lambda request: _host(request) != _host(request).lower(), engine.html(404)),
    "PUT refused": _refuses(lambda request: request.method == "PUT", engine.html(405)),
    "for homeservers only": _refuses(
        lambda request: not _of_user_agent("Synapse", "Dendrite")(request), engine.html(403)
    ),
    "not for tools": _refuses(_of_user_agent("matrix-federation-exporter", "Go-http", "curl"), engine.html(403)),
}

CHANGES: Final[Mapping[str, dict[str, Any]]] = {
    # What happens to every answer, likewise.
    USUAL: {},
    "no phrase": _changed(phrase=False, framing="close"),
    "a header without a colon": _changed(headers=("X-Broken header line",), framing="close"),
    "a header of 15 kB": _changed(headers=(("X-Long", "z" * 15_000),)),
    "a header of 20 kB": _changed(headers=(("X-Long", "z" * 20_000),)),
    "40 kB of headers": _changed(headers=tuple((f"X-{number}", "z" * 1000) for number in range(40))),
    "150 headers": _changed(headers=tuple((f"X-{number}", "z") for number in range(150))),
    "early hints": _changed(before=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
    "continue": _changed(before=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunked": _changed(framing="chunked"),
    "HTTP/1.0": _changed(framing="close", protocol="HTTP/1.0"),
    "until the end": _changed(framing="close"),
    "a strange length too": _changed(headers=(("Content-Length", 7),)),
    "HTTP/1.2": _changed(protocol="HTTP/1.2"),
    "HTTP/2.0": _changed(protocol="HTTP/2.0"),
    "cookies": _changed(headers=(("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"))),
    "gzip": {"change": _gzipped},
    "gzip told": _changed(headers=(("Content-Encoding", "gzip"),)),
    "a folded header": _changed(headers=("X-Folded: a\r\n  b",)),
    "a header that is not ASCII": _changed(headers=(("X-Name", "\xe4\xff"),)),
    "an empty header name": _changed(headers=(": x",)),
    "an upgrade": _changed(headers=(("Upgrade", "h2,h2c"), ("Connection", "Upgrade"))),
}
