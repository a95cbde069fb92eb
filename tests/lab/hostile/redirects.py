"""Redirects of the well-known: round and round, on and on, and to where nobody should follow."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise

from exporter.demo.https_server import WELL_KNOWN, Request, Resource, Response, delegation, redirect
from exporter.demo.ports import Fault
from exporter.demo.servers import FEDERATION_PORT, HEALTHY, LabServer, Place, Website, federates
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.raw_responses import BadResponse, RawResponse, page
from tests.lab.hostile.rows import Row, numbered

Location = Callable[[str], str]
"""Of the host that redirects."""
CLOSED, PLAIN = 8443, 8080


@dataclass(frozen=True, slots=True)
class RedirectRow:
    """A row: `pages` are those of the web server at the host; ports beside it are closed, or speak plain http."""

    label: str
    shows: str
    pages: Callable[[str], dict[str, Resource]]
    reason: Reason | None

    def at(self, ip: str) -> LabServer:
        host = f"redirect-{self.label}.hostile.test"
        places: dict[str, Place] = {
            f"{ip}:443": Website(host, self.pages(host)),
            f"{ip}:{CLOSED}": Fault.CONNECTION_REFUSED,
            f"{ip}:{PLAIN}": Fault.PLAIN_HTTP,
            f"{ip}:{FEDERATION_PORT}": federates(host),
        }
        expected = frozenset({(Stage.WELL_KNOWN, self.reason)}) if self.reason else HEALTHY
        method = Method.DEFAULT_8448 if self.reason else Method.WELL_KNOWN_PORT
        return LabServer(host, self.shows, method, f"{host} A {ip}", places, expected)


def leads(label: str, shows: str, location: Location, reason: Reason = Reason.REDIRECT) -> RedirectRow:
    return RedirectRow(label, shows, lambda host: {WELL_KNOWN: redirect(location(host))}, reason)


def to(label: str, location: str, reason: Reason = Reason.REDIRECT) -> RedirectRow:
    return leads(label, f"a redirect to {location}", lambda _: location, reason)


def bare(label: str, shows: str, said: bytes, reason: Reason) -> BadResponse:
    """The header is one that no library would send."""
    return BadResponse(f"redirect-{label}", shows, WELL_KNOWN, lambda *_: RawResponse(said), reason)


def chain(hops: int) -> Callable[[str], dict[str, Resource]]:
    """Of so many redirects, at the end of which there is a delegation."""

    def pages(host: str) -> dict[str, Resource]:
        paths = [WELL_KNOWN, *(f"/{number}" for number in range(1, hops + 1))]
        steps: dict[str, Resource] = {path: redirect(following) for path, following in pairwise(paths)}
        return steps | {paths[-1]: delegation(host_port(host, FEDERATION_PORT))}

    return pages


def loop(host: str) -> dict[str, Resource]:
    return {WELL_KNOWN: redirect(f"https://{host}/b"), "/b": redirect(WELL_KNOWN)}


def fan(_: str) -> dict[str, Resource]:
    """Every answer leads elsewhere, by a query that was never asked for."""
    queries = count()

    async def further(_: Request) -> Response:
        return redirect(f"{WELL_KNOWN}?{next(queries)}")

    return {WELL_KNOWN: further}


def moved(location: bytes) -> bytes:
    return page(b"", b"301 Moved Permanently", b"Location: " + location)


ROWS: tuple[Row, ...] = (
    RedirectRow("loop", "two pages that lead to each other", loop, Reason.REDIRECT),
    RedirectRow("fan", "each answer leads to a page never seen before", fan, Reason.REDIRECT),
    RedirectRow("chain-10", "ten redirects, as many as peers follow", chain(10), None),
    RedirectRow("chain-11", "eleven redirects", chain(11), Reason.REDIRECT),
    leads("to-http", "a redirect to http", lambda host: f"http://{host}{WELL_KNOWN}"),
    leads("userinfo", "a redirect to a URL with a password", lambda host: f"https://user:secret@{host}/"),
    leads(
        "userinfo-host", "a redirect to a URL whose user looks like the host", lambda host: f"https://{host}@127.0.0.1/"
    ),
    leads("backslash", "a redirect to a URL with a backslash", lambda host: rf"https://127.0.0.1\@{host}/"),
    leads(
        "closed-port", "a redirect to a closed port", lambda host: f"https://{host}:{CLOSED}/", Reason.CONNECT_REFUSED
    ),
    leads("plain-port", "a redirect to a port of plain http", lambda host: f"https://{host}:{PLAIN}/", Reason.NOT_TLS),
    leads("no-port", "a redirect to port 99999", lambda host: f"https://{host}:99999/"),
    to("loopback", "https://127.0.0.1/", Reason.BLOCKED_ADDRESS),
    to("loopback-6", "https://[::1]/", Reason.BLOCKED_ADDRESS),
    to("loopback-mapped", "https://[::ffff:127.0.0.1]/", Reason.BLOCKED_ADDRESS),
    to("zone", "https://[fe80::1%25lo]/"),
    to("metadata", "https://169.254.169.254/latest/", Reason.BLOCKED_ADDRESS),
    to("nowhere", "https://nowhere.invalid/", Reason.NXDOMAIN),
    to("file", "file:///etc/passwd"),
    to("script", "javascript:alert(1)"),
    to("no-host", "https:///"),
    leads("long-host", "a redirect to a host of 14 KB", lambda _: f"https://{'a' * 14_000}/"),
    leads("long-port", "a redirect to a port of 14,000 digits", lambda host: f"https://{host}:{'9' * 14_000}/"),
    leads("long-brackets", "a redirect to brackets around 14,000 colons", lambda _: f"https://[{':' * 14_000}]/"),
    bare("no-location", "a redirect without a Location", page(b"", b"302 Found"), Reason.REDIRECT),
    bare("empty-location", "a redirect to nothing", moved(b""), Reason.REDIRECT),
    bare(
        "not-ascii",
        "a redirect to a host that is not ASCII",
        moved("https://ü.\x85/".encode("latin-1")),
        Reason.REDIRECT,
    ),
    bare("long", "a redirect of 60 KB", moved(b"/" * 60_000), Reason.TOO_LARGE),
    bare("nul", "a redirect with a NUL", moved(b"https://a\0b/"), Reason.HTTP_PROTOCOL),
    bare(
        "body",
        "a redirect with a body of 1 MB",
        moved(b"/").replace(b": 0", b": 1000000") + b"x" * 1000_000,
        Reason.TOO_LARGE,
    ),
)
REDIRECT_SERVERS = numbered("198.18.4.", ROWS)
