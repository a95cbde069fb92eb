"""Servers that answer wrongly, each in one way that `demo` does not show: the web server, the homeserver, and the
reverse proxy in front of it.
"""

from exporter.demo.authority import CertificateState
from exporter.demo.broken import NO_IPV4, keys_broken
from exporter.demo.homeserver import KEYS, VERSION, KeyFault
from exporter.demo.https_server import JSON, WELL_KNOWN, Request, Response, delegation, redirect
from exporter.demo.ports import Fault
from exporter.demo.servers import LabServer, Place, Website, federates
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.reverse_proxy import ProxyFault
from tests.lab.unreachable import HOURS

ENORMOUS = Response(200, (JSON,), b'{"m.server": "hs.test:443", "padding": "' + b"x" * 60_000 + b'"}')
A_LIST = Response(200, (JSON,), b"[]")


async def crash(_: Request) -> Response:
    """The connection ends without an answer."""
    raise ConnectionAbortedError("the lab was told to hang up here")


def well_known_broken(
    host: str,
    ip: str,
    shows: str,
    reason: Reason,
    website: Place,
) -> LabServer:
    """The web server is at fault, and port 8448, to which peers fall back, works."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        places={f"{ip}:443": website, f"{ip}:8448": federates(host)},
        expected=frozenset({(Stage.WELL_KNOWN, reason)}),
    )


def behind(host: str, ip: str, shows: str, reason: Reason, fault: ProxyFault) -> LabServer:
    """No delegation, and a reverse proxy that is at fault."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        places={f"{ip}:8448": federates(host, behind=fault)},
        expected=frozenset({(Stage.PROXY, reason)}),
    )


BAD_RESPONSE_SERVERS = (
    # ------------------------------------------------------------ the web server
    well_known_broken(
        "well-known-error.lab.test",
        "192.0.2.130",
        "a well-known that is answered with status 500",
        Reason.HTTP_STATUS,
        Website("well-known-error.lab.test", {WELL_KNOWN: Response(500)}),
    ),
    well_known_broken(
        "well-known-expired.lab.test",
        "192.0.2.131",
        "a web server whose certificate has expired",
        Reason.CERTIFICATE_EXPIRED,
        Website("well-known-expired.lab.test", state=CertificateState.EXPIRED),
    ),
    well_known_broken(
        "well-known-wrong-name.lab.test",
        "192.0.2.132",
        "a web server with a certificate for another name",
        Reason.CERTIFICATE_NAME_MISMATCH,
        Website("well-known-wrong-name.lab.test", state=CertificateState.WRONG_NAME),
    ),
    well_known_broken(
        "well-known-black-hole.lab.test",
        "192.0.2.133",
        "a firewall that drops everything to port 443",
        Reason.CONNECT_TIMEOUT,
        Fault.BLACK_HOLE,
    ),
    well_known_broken(
        "well-known-loop.lab.test",
        "192.0.2.134",
        "a well-known that is redirected to itself",
        Reason.REDIRECT,
        Website("well-known-loop.lab.test", {WELL_KNOWN: redirect(f"https://well-known-loop.lab.test{WELL_KNOWN}")}),
    ),
    well_known_broken(
        "well-known-enormous.lab.test",
        "192.0.2.135",
        "a well-known of 60 kB",
        Reason.TOO_LARGE,
        Website("well-known-enormous.lab.test", {WELL_KNOWN: ENORMOUS}),
    ),
    well_known_broken(
        "well-known-url.lab.test",
        "192.0.2.136",
        "a well-known that holds a URL instead of a server name",
        Reason.INVALID_DELEGATION,
        Website("well-known-url.lab.test", {WELL_KNOWN: delegation("https://hs.well-known-url.lab.test")}),
    ),
    # ------------------------------------------------------------ the homeserver
    LabServer(
        "crash.lab.test",
        "a homeserver that closes the connection instead of telling its version",
        Method.DEFAULT_8448,
        zone="crash.lab.test A 192.0.2.140",
        places={"192.0.2.140:8448": Website("crash.lab.test", {VERSION: crash}, homeserver=True)},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_PROTOCOL)}),
        warnings=NO_IPV4,
    ),
    LabServer(
        "silent.lab.test",
        "a homeserver that does not answer",
        Method.DEFAULT_8448,
        zone="silent.lab.test A 192.0.2.141",
        places={"192.0.2.141:8448": federates("silent.lab.test")},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_TIMEOUT), (Stage.KEYS, Reason.HTTP_TIMEOUT)}),
        warnings=NO_IPV4,
        delay=HOURS,
    ),
    LabServer(
        "version-list.lab.test",
        "a version that is a JSON array",
        Method.DEFAULT_8448,
        zone="version-list.lab.test A 192.0.2.142",
        places={"192.0.2.142:8448": Website("version-list.lab.test", {VERSION: A_LIST}, homeserver=True)},
        expected=frozenset({(Stage.VERSION, Reason.INVALID_CONTENT)}),
        warnings=NO_IPV4,
    ),
    LabServer(
        "no-keys.lab.test",
        "a homeserver that peers reach, but not the keys with which they verify what it says",
        Method.DEFAULT_8448,
        zone="no-keys.lab.test A 192.0.2.143",
        places={"192.0.2.143:8448": federates("no-keys.lab.test")},
        expected=frozenset({(Stage.KEYS, Reason.HTTP_STATUS)}),
        warnings=NO_IPV4,
        missing=(KEYS,),
    ),
    keys_broken(
        "no-signing-key.lab.test",
        "192.0.2.144",
        "keys without any of ed25519 among them",
        Reason.NO_SIGNING_KEY,
        KeyFault.NO_ED25519_KEY,
    ),
    # ------------------------------------------------------------ the reverse proxy
    behind(
        "path-decoded.lab.test",
        "192.0.2.150",
        "a reverse proxy that decodes paths",
        Reason.PATH_DECODED,
        ProxyFault.DECODES_PATHS,
    ),
    behind(
        "body-limit.lab.test",
        "192.0.2.151",
        "a reverse proxy that takes bodies of 1 MiB at most",
        Reason.BODY_LIMIT,
        ProxyFault.LIMITS_BODIES,
    ),
    behind(
        "read-only.lab.test",
        "192.0.2.153",
        "a reverse proxy that lets GET through, and no PUT",
        Reason.HTTP_STATUS,
        ProxyFault.READS_ONLY,
    ),
    behind(
        "catch-all.lab.test",
        "192.0.2.152",
        "a reverse proxy with a page of its own for every path that the homeserver does not know",
        Reason.CATCH_ALL,
        ProxyFault.CATCHES_ALL,
    ),
)
