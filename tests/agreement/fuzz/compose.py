"""A federation of building blocks that are chosen at random, at most a few of which are not as usual."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.agreement.fuzz.addresses import ADDRESSES, SRV
from tests.agreement.fuzz.answers import KEY_ANSWERS, VERSIONS
from tests.agreement.fuzz.certificates import CERTIFICATES, TALKS
from tests.agreement.fuzz.delegation import ANSWERS, M_SERVERS, PAGES, PORT
from tests.agreement.fuzz.documents import DOCUMENTS, KEY_IDS
from tests.agreement.fuzz.draw import USUAL, Draw
from tests.agreement.fuzz.proxies import CHANGES, PROXIES
from tests.agreement.served import engine

_DOMAIN, _DELEGATED, _TARGET = 1, 2, 4  # numbers of hosts

_NAMES: Final[Mapping[str, Callable[[Any], str]]] = {
    # What the server name is.
    USUAL: lambda f: f.domain,
    "a port": lambda f: f"{f.domain}:{PORT}",
    "capitals": lambda f: f.domain.upper(),
    "an IPv4 address": lambda f: f.v4(),
    "an IPv4 address and a port": lambda f: f"{f.v4()}:{PORT}",
    "an IPv6 address": lambda f: f"[{f.v6()}]",
    "an IPv6 address and a port": lambda f: f"[{f.v6()}]:{PORT}",
}


def compose(f: Any, draw: Draw) -> str:
    """Set up a federation, and describe it. Its name says all, or its website delegates, or its domain may have SRV."""
    f.name = draw.pick("name", _NAMES, usual=0.9)(f)
    f.key_id = draw.pick("key id", KEY_IDS, usual=0.9)
    if f.name.lower() != f.domain:
        _named(f, draw)
    elif draw.chance(0.6):
        _delegated(f, draw)
    else:
        _at_domain(f, draw)
    return "; ".join(draw.chosen) or "as usual"


def _named(f: Any, draw: Draw) -> None:
    port = PORT if f.name.endswith(f":{PORT}") else 8448
    host = f.name.removesuffix(f":{PORT}").strip("[]")
    if host == f.domain:
        _homeserver(f, draw, host, port, host, host=_DOMAIN)
    else:
        _serve(f, draw, [host], port, host)


def _at_domain(f: Any, draw: Draw) -> None:
    name, port = draw.pick("srv", SRV)(f, f.domain)
    _homeserver(f, draw, name, port, f.domain, host=_DOMAIN if name == f.domain else _TARGET)


def _delegated(f: Any, draw: Draw) -> None:
    """The homeserver is at another host, and a second one at the domain's port 8448 shows who falls back."""
    text = draw.pick("m.server", M_SERVERS)(f)
    _website(f, draw, text)
    if draw.chance(0.4):
        draw.chosen.append("falls back: works")
        f.serve([f.v4(), f.v6()], 8448)
    name, port = f.hs, PORT
    if f"{PORT}" not in text:
        name, port = draw.pick("srv", SRV)(f, f.hs)
    if text.startswith((f.v4(2), f"[{f.v6(2)}")):
        address = text.removesuffix(f":{PORT}").strip("[]")
        _serve(f, draw, [address], PORT if f"{PORT}" in text else 8448, address)
    else:
        _homeserver(f, draw, name, port, f.hs, host=_DELEGATED if name == f.hs else _TARGET)


def _website(f: Any, draw: Draw, text: str) -> None:
    addresses = draw.pick("website's addresses", ADDRESSES, usual=0.85)(f, f.domain, _DOMAIN)
    answer = draw.pick("well-known", ANSWERS)(text)
    handler = f.well_known(pages=draw.pick("well-known's redirect", PAGES, usual=0.75)(f, answer))
    for part in _families(draw, addresses):
        if talk := draw.pick("website", TALKS, usual=0.95):
            f.listen(part, 443, None, talk)
        else:
            context = draw.pick("website's certificate", CERTIFICATES, usual=0.8)(f, f.domain)
            f.listen(part, 443, context, engine.speak_http(handler))


def _homeserver(f: Any, draw: Draw, name: str, port: int, tls_name: str, *, host: int) -> None:
    """Serve a homeserver at the addresses of `name`, which are those of a host."""
    addresses = draw.pick("addresses", ADDRESSES, usual=0.7)(f, name, host)
    for part in _families(draw, addresses):
        _serve(f, draw, part, port, tls_name)


def _families(draw: Draw, addresses: list[str]) -> list[list[str]]:
    """Return the addresses, in two parts where IPv6 and IPv4 shall be served in different ways."""
    ipv6 = [address for address in addresses if ":" in address]
    if not ipv6 or len(ipv6) == len(addresses) or draw.chance(0.4):
        return [addresses]
    draw.chosen.append("IPv6 and IPv4 apart")
    return [ipv6, [address for address in addresses if ":" not in address]]


def _serve(f: Any, draw: Draw, addresses: list[str], port: int, tls_name: str) -> None:
    if talk := draw.pick("port", TALKS, usual=0.97):
        f.listen(addresses, port, None, talk)
        return
    context = draw.pick("certificate", CERTIFICATES, usual=0.75)(f, tls_name)
    pages = {engine.KEYS: _published(f, draw), engine.VERSION: draw.pick("version", VERSIONS, usual=0.8)}
    front = draw.pick("proxy", PROXIES, usual=0.8)
    change = draw.pick("every answer", CHANGES, usual=0.8)
    f.listen(addresses, port, context, engine.speak_http(f.homeserver(pages=_behind(front, pages), **front, **change)))


def _behind(front: dict[str, Any], pages: dict[str, Any]) -> dict[str, Any]:
    """Return the pages as far as the proxy forwards requests for them."""
    every = front.get("every")
    if every is None:
        return {path: page for path, page in pages.items() if page is not None}

    def seen(page: Any) -> Any:
        def answer(request: Any) -> Any:
            in_front = every(request) if callable(every) else every
            return in_front or (page(request) if callable(page) else page)

        return answer

    return {path: seen(page) for path, page in pages.items()}


def _published(f: Any, draw: Draw) -> Any:
    fields = draw.pick("keys", DOCUMENTS, usual=0.7)
    answered = draw.pick("keys' answer", KEY_ANSWERS, usual=0.8)
    return lambda _request: answered(f.key_document(**fields(f)))
