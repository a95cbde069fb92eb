"""What the well-known says, and how it is answered."""

import gzip
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

from tests.agreement.fuzz.draw import USUAL
from tests.agreement.served import engine

WELL_KNOWN: Final = engine.WELL_KNOWN
PORT: Final = 8443

M_SERVERS: Final[Mapping[str, Callable[[Any], str]]] = {
    # What the text is, for a homeserver at `f.hs` and `f.v4(2)`.
    USUAL: lambda f: f"{f.hs}:{PORT}",
    "without a port": lambda f: f.hs,
    "capitals": lambda f: f"{f.hs.upper()}:{PORT}",
    "a dot at the end": lambda f: f"{f.hs}.:{PORT}",
    "a dot at the end, no port": lambda f: f"{f.hs}.",
    "a blank before": lambda f: f" {f.hs}:{PORT}",
    "a blank after": lambda f: f"{f.hs}:{PORT} ",
    "a line break after": lambda f: f"{f.hs}:{PORT}\n",
    "a URL": lambda f: f"https://{f.hs}:{PORT}",
    "a URL without a port": lambda f: f"https://{f.hs}",
    "a slash after": lambda f: f"{f.hs}:{PORT}/",
    "a path after": lambda f: f"{f.hs}:{PORT}/_matrix",
    "port 99999": lambda f: f"{f.hs}:99999",
    "port 0": lambda f: f"{f.hs}:0",
    "port 00": lambda f: f"{f.hs}:00",
    "no port after the colon": lambda f: f"{f.hs}:",
    "a port with zeros": lambda f: f"{f.hs}:0{PORT}",
    "a port with a plus": lambda f: f"{f.hs}:+{PORT}",
    "a port in words": lambda f: f"{f.hs}:https",
    "two ports": lambda f: f"{f.hs}:{PORT}:{PORT}",
    "an IPv4 address": lambda f: f.v4(2),
    "an IPv4 address and a port": lambda f: f"{f.v4(2)}:{PORT}",
    "an IPv6 address": lambda f: f"[{f.v6(2)}]",
    "an IPv6 address and a port": lambda f: f"[{f.v6(2)}]:{PORT}",
    "an IPv6 address without brackets": lambda f: f.v6(2),
    "a port and letters": lambda f: f"{f.hs}:{PORT}x",
    "a name in brackets": lambda f: f"[{f.hs}]:{PORT}",
    "half a bracket": lambda f: f"[{f.v6(2)}:{PORT}",
    "a blank in it": lambda f: f"h s.{f.domain}:{PORT}",
    "a percent sign": lambda f: f"hs%2e{f.domain}:{PORT}",
    "a hyphen before": lambda f: f"-hs.{f.domain}:{PORT}",
    "port 443": lambda f: f"{f.hs}:443",
    "a star": lambda f: f"*.{f.domain}:{PORT}",
    "a name without a dot": lambda _: f"localhost:{PORT}",
    "a user": lambda f: f"matrix@{f.hs}:{PORT}",
    "an underscore": lambda f: f"hs_1.{f.domain}:{PORT}",
    "not ASCII": lambda f: f"hä.{f.domain}:{PORT}",
    "two dots": lambda f: f"hs..{f.domain}:{PORT}",
    "a label of 64 letters": lambda f: f"{'h' * 64}.{f.domain}:{PORT}",
    "only a port": lambda _: f":{PORT}",
    "only a dot": lambda _: ".",
    "a comma": lambda f: f"{f.hs},{f.hs}",
    "a query": lambda f: f"{f.hs}:{PORT}?x",
    "a fragment": lambda f: f"{f.hs}:{PORT}#x",
    "empty": lambda _: "",
}


def _body(text: str, **fields: Any) -> str:
    return json.dumps({**fields, "m.server": text})


def _answer(body: str | bytes, *headers: tuple[str, object], **options: Any) -> Any:
    return engine.Answer(200, body, headers, **options)


def _raw(head: str, body: str) -> Any:
    return engine.Answer(raw=f"{head}\r\n\r\n{body}".encode())


def _of_status(status: int) -> Callable[[str], Any]:
    return lambda text: engine.Answer(status, _body(text))


def _always(body: str) -> Callable[[str], Any]:
    return lambda _: _answer(body)


def _of_type(kind: str | None) -> Callable[[str], Any]:
    return lambda text: _answer(_body(text), content_type=kind)


def _of_size(size: int) -> Callable[[str], Any]:
    return lambda text: _answer(_body(text, x="y" * size))


ANSWERS: Final[Mapping[str, Callable[[str], Any]]] = {
    USUAL: lambda text: _answer(_body(text)),
    **{
        f"status {status}": _of_status(status)
        for status in (201, 202, 203, 206, 300, 304, 400, 401, 403, 404, 410, 429, 500, 503)
    },
    "no content": lambda _: engine.Answer(204, framing="none"),
    "a page": lambda _: engine.html(200, "<html>an app</html>"),
    "an empty body": _always(""),
    **{f"the body {body}": _always(body) for body in ("null", "[]", "7", '"x"', "{}", "true")},
    **{f"m.server {value}": _always(f'{{"m.server": {value}}}') for value in ("null", "7", "{}", "[]", "true", "NaN")},
    "a list around it": lambda text: _answer(f"[{_body(text)}]"),
    "a list in it": lambda text: _answer(json.dumps({"m.server": [text]})),
    "a byte order mark": lambda text: _answer(b"\xef\xbb\xbf" + _body(text).encode()),
    "UTF-16": lambda text: _answer(_body(text).encode("utf-16")),
    "Latin-1 beside it": lambda text: _answer(b'{"x": "\xe4", "m.server": "%s"}' % text.encode()),
    "a lone surrogate beside it": lambda text: _answer(_body(text, x="\ud800")),
    "a control character beside it": lambda text: _answer(f'{{"x": "\t", "m.server": "{text}"}}'),
    "a comment after": lambda text: _answer(_body(text) + "\n<!-- cached -->"),
    "blanks around": lambda text: _answer(f"\n  {_body(text)}\r\n\n"),
    "a form feed after": lambda text: _answer(_body(text) + "\f"),
    "a NUL after": lambda text: _answer(_body(text) + "\0"),
    "NaN beside it": lambda text: _answer(f'{{"x": NaN, "m.server": "{text}"}}'),
    "a number of 5000 digits beside it": lambda text: _answer(f'{{"x": {"9" * 5000}, "m.server": "{text}"}}'),
    "1e999 beside it": lambda text: _answer(f'{{"x": 1e999, "m.server": "{text}"}}'),
    "a comma at the end": lambda text: _answer(f'{{"m.server": "{text}",}}'),
    "single quotes": lambda text: _answer(f"{{'m.server': '{text}'}}"),
    "cut off": lambda text: _answer(_body(text)[:-1]),
    "escaped letters": lambda text: _answer(_body(text).replace("m.server", "m\\u002eserver")),
    "capitals in the key": lambda text: _answer(_body(text).replace("m.server", "M.Server")),
    "the key twice, the last good": lambda text: _answer(f'{{"m.server": "gone.test:1", {_body(text)[1:]}'),
    "the key twice, the last bad": lambda text: _answer(_body(text)[:-1] + ', "m.server": "gone.test:1"}'),
    "100 levels deep beside it": lambda text: _answer(f'{{"x": {"[" * 100}{"]" * 100}, "m.server": "{text}"}}'),
    "gzip": lambda text: _answer(gzip.compress(_body(text).encode()), ("Content-Encoding", "gzip")),
    "gzip, not told": lambda text: _answer(gzip.compress(_body(text).encode())),
    "gzip told, but plain": lambda text: _answer(_body(text), ("Content-Encoding", "gzip")),
    "identity told": lambda text: _answer(_body(text), ("Content-Encoding", "identity")),
    **{
        f"type {kind}": _of_type(kind)
        for kind in ("application/octet-stream", "text/html", "text/plain; charset=utf-16", None)
    },
    **{f"{size} bytes": _of_size(size) for size in (20_000, 50_000, 52_000, 100_000)},
    "40 kB of headers": lambda text: _answer(_body(text), *((f"X-{number}", "z" * 1000) for number in range(40))),
    "150 headers": lambda text: _answer(_body(text), *((f"X-{number}", "z") for number in range(150))),
    "a header of 15 kB": lambda text: _answer(_body(text), ("X-Long", "z" * 15_000)),
    "a header of 20 kB": lambda text: _answer(_body(text), ("X-Long", "z" * 20_000)),
    "HTTP/1.0": lambda text: _answer(_body(text), framing="close", protocol="HTTP/1.0"),
    "chunked": lambda text: _answer(_body(text), framing="chunked"),
    "until the end": lambda text: _answer(_body(text), framing="close"),
    "no phrase": lambda text: _answer(_body(text), phrase=False, framing="close"),
    "early hints": lambda text: _answer(_body(text), before=b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "continue": lambda text: _answer(_body(text), before=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "shorter than announced": lambda text: _raw("HTTP/1.1 200 OK\r\nContent-Length: 2000", _body(text)),
    "longer than announced": lambda text: _raw(
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(_body(text))}", _body(text) + " "
    ),
    "announced twice alike": lambda text: _answer(_body(text), ("Content-Length", len(_body(text)))),
    "announced twice": lambda text: _answer(_body(text), ("Content-Length", 7)),
    "a header without a colon": lambda text: _raw("HTTP/1.1 200 OK\r\nX-Broken\r\nConnection: close", _body(text)),
    "a folded header": lambda text: _raw("HTTP/1.1 200 OK\r\nX-Folded: a\r\n  b\r\nConnection: close", _body(text)),
    "HTTP/1.2": lambda text: _raw("HTTP/1.2 200 OK\r\nConnection: close", _body(text)),
    "HTTP/2.0": lambda text: _raw("HTTP/2.0 200 OK\r\nConnection: close", _body(text)),
    "a status of two digits": lambda text: _raw("HTTP/1.1 20 OK\r\nConnection: close", _body(text)),
    "not HTTP": lambda text: _raw("SSH-2.0-OpenSSH", _body(text)),
    "nothing": lambda _: engine.Answer(raw=b""),
    "odd caching": lambda text: _answer(_body(text), ("Cache-Control", "max-age = x, ,=")),
}

_FINAL: Final = "/final"


def _hops(count: int) -> Callable[[Any, Any], dict[str, Any]]:
    """Return a chain of so many redirects."""

    def pages(_: Any, answer: Any) -> dict[str, Any]:
        paths = [WELL_KNOWN, *(f"/{number}" for number in range(1, count)), _FINAL]
        return {here: engine.redirect(there) for here, there in pairwise(paths)} | {_FINAL: answer}

    return pages


def _to(location: str, status: int = 302) -> Callable[[Any, Any], dict[str, Any]]:
    """Return a redirect to a location, in which `DOMAIN` is the domain. The answer is at `/final`."""

    def pages(f: Any, answer: Any) -> dict[str, Any]:
        target = engine.redirect(location.replace("DOMAIN", f.domain), status)
        return {WELL_KNOWN: target, _FINAL: answer, "/.well-known/matrix/final": answer, WELL_KNOWN + "/": answer}

    return pages


def _to_http(f: Any, answer: Any) -> dict[str, Any]:
    f.listen(f.v4(), 80, None, engine.speak_http(f.well_known(pages={_FINAL: answer})))
    return _to(f"http://{f.domain}{_FINAL}")(f, answer)


def _to_another_host(f: Any, answer: Any, *names: str) -> dict[str, Any]:
    """Redirect to `www`, whose certificate has these names."""
    www = f"www.{f.domain}"
    f.address(www, host=3)
    f.serve_well_known(f.v4(3), certificate=f.certificate(*(names or [www])), pages={_FINAL: answer})
    return _to(f"https://{www}{_FINAL}")(f, answer)


PAGES: Final[Mapping[str, Callable[[Any, Any], dict[str, Any]]]] = {
    # Where the website has the answer.
    USUAL: lambda _, answer: {WELL_KNOWN: answer},
    **{f"a redirect of status {status}": _to(_FINAL, status) for status in (301, 302, 303, 307, 308)},
    **{f"{count} redirects": _hops(count) for count in (9, 10, 11, 19, 20, 21, 30)},
    "a slash is appended": _to(WELL_KNOWN + "/"),
    "a redirect to a relative path": _to("final"),
    "a redirect without a scheme": _to(f"//DOMAIN{_FINAL}"),
    "a redirect with the port": _to(f"https://DOMAIN:443{_FINAL}"),
    "a redirect with a query": _to(f"{_FINAL}?x=y"),
    "a redirect with a fragment": _to(f"{_FINAL}#x"),
    "a redirect in capitals": _to(f"HTTPS://DOMAIN{_FINAL}"),
    "a redirect with a dot after the host": _to(f"https://DOMAIN.{_FINAL}"),
    "a redirect to a closed port": _to(f"https://DOMAIN:444{_FINAL}"),
    "a redirect to nowhere": _to(f"https://gone.DOMAIN{_FINAL}"),
    "a redirect to itself": _to(WELL_KNOWN),
    "an empty redirect": _to(""),
    "a redirect to another scheme": _to("ftp://DOMAIN/final"),
    "a redirect that is no URL": _to("https://["),
    "a redirect without a location": lambda *_: {WELL_KNOWN: engine.Answer(302)},
    "a redirect to http": _to_http,
    "a redirect to another host": _to_another_host,
    "a redirect to a wrong certificate": lambda f, answer: _to_another_host(f, answer, "other.test"),
}
