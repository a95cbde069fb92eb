"""Redirects of the well-known: loops, long chains, and locations that no client should follow."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise

from exporter.demo.https_server import WELL_KNOWN, Request, Resource, Response, delegation, redirect
from exporter.demo.ports import refuse_connections, speak_plain_http
from exporter.demo.servers import FEDERATION_PORT, HEALTHY, LabServer, PortFactory, Website, federates
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.raw_responses import BadResponse, RawResponse, http_response
from tests.lab.hostile.rows import Row, numbered

Location = Callable[[str], str]
"""Makes the location from the host that redirects."""
CLOSED, PLAIN = 8443, 8080


@dataclass(frozen=True, slots=True)
class RedirectRow:
    """A row: `resources` are those of the web server; one more port is closed, and another one speaks plain HTTP."""

    label: str
    shows: str
    resources: Callable[[str], dict[str, Resource]]
    reason: Reason | None

    def at(self, ip: str) -> LabServer:
        host = f"redirect-{self.label}.hostile.test"
        ports: dict[str, Website | PortFactory] = {
            f"{ip}:443": Website(host, self.resources(host)),
            f"{ip}:{CLOSED}": refuse_connections,
            f"{ip}:{PLAIN}": speak_plain_http,
            f"{ip}:{FEDERATION_PORT}": federates(host),
        }
        expected = frozenset({(Stage.WELL_KNOWN, self.reason)}) if self.reason else HEALTHY
        method = Method.DEFAULT_8448 if self.reason else Method.WELL_KNOWN_PORT
        return LabServer(host, self.shows, method, f"{host} A {ip}", ports, expected)


def leads(label: str, shows: str, location: Location, reason: Reason = Reason.REDIRECT) -> RedirectRow:
    return RedirectRow(label, shows, lambda host: {WELL_KNOWN: redirect(location(host))}, reason)


def to(label: str, location: str, reason: Reason = Reason.REDIRECT) -> RedirectRow:
    return leads(label, f"a redirect to {location}", lambda _: location, reason)


def raw(label: str, shows: str, response: bytes, reason: Reason) -> BadResponse:
    """A response whose headers no library would send."""
    return BadResponse(f"redirect-{label}", shows, WELL_KNOWN, lambda *_: RawResponse(response), reason)


def chain(hops: int) -> Callable[[str], dict[str, Resource]]:
    """Redirect this many times, to a delegation."""

    def resources(host: str) -> dict[str, Resource]:
        paths = [WELL_KNOWN, *(f"/{number}" for number in range(1, hops + 1))]
        steps: dict[str, Resource] = {path: redirect(following) for path, following in pairwise(paths)}
        return steps | {paths[-1]: delegation(host_port(host, FEDERATION_PORT))}

    return resources


def loop(host: str) -> dict[str, Resource]:
    return {WELL_KNOWN: redirect(f"https://{host}/b"), "/b": redirect(WELL_KNOWN)}


def fan(_: str) -> dict[str, Resource]:
    """Redirect every request to another query of the same path."""
    queries = count()

    async def further(_: Request) -> Response:
        return redirect(f"{WELL_KNOWN}?{next(queries)}")

    return {WELL_KNOWN: further}


def moved(location: bytes) -> bytes:
    return http_response(b"", b"301 Moved Permanently", b"Location: " + location)


ROWS: tuple[Row, ...] = (
    RedirectRow("loop", "two resources that redirect to each other", loop, Reason.REDIRECT),
    RedirectRow("fan", "a new location in every response", fan, Reason.REDIRECT),
    RedirectRow("chain-10", "ten redirects, the most that peers follow", chain(10), None),
    RedirectRow("chain-11", "eleven redirects", chain(11), Reason.REDIRECT),
    leads("to-http", "a redirect to http", lambda host: f"http://{host}{WELL_KNOWN}"),
    leads("userinfo", "a redirect to a URL with a password", lambda host: f"https://user:secret@{host}/"),
    leads(
        "userinfo-host",
        "a redirect to a URL whose user name looks like the host",
        lambda host: f"https://{host}@127.0.0.1/",
    ),
    leads("backslash", "a redirect to a URL with a backslash", lambda host: rf"https://127.0.0.1\@{host}/"),
    leads(
        "closed-port", "a redirect to a closed port", lambda host: f"https://{host}:{CLOSED}/", Reason.CONNECT_REFUSED
    ),
    leads(
        "plain-port",
        "a redirect to a port that speaks plain HTTP",
        lambda host: f"https://{host}:{PLAIN}/",
        Reason.NOT_TLS,
    ),
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
    raw("no-location", "a redirect without a Location", http_response(b"", b"302 Found"), Reason.REDIRECT),
    raw("empty-location", "a redirect with an empty Location", moved(b""), Reason.REDIRECT),
    raw(
        "not-ascii",
        "a redirect to a host that is not ASCII",
        moved("https://ü.\x85/".encode("latin-1")),
        Reason.REDIRECT,
    ),
    raw("long", "a redirect of 70 KB", moved(b"/" * 70_000), Reason.TOO_LARGE),
    raw("nul", "a redirect with a NUL", moved(b"https://a\0b/"), Reason.HTTP_PROTOCOL),
    raw(
        "body",
        "a redirect with a body of 1 MB",
        moved(b"/").replace(b": 0", b": 1000000") + b"x" * 1000_000,
        Reason.TOO_LARGE,
    ),
)
REDIRECT_SERVERS = numbered("198.18.4.", ROWS)
