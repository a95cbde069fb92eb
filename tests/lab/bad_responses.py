"""Servers that respond wrongly in ways that `demo` does not show: the web server, the homeserver, the reverse proxy."""

from exporter.demo.authority import EXPIRED, WRONG_NAME
from exporter.demo.broken import broken_keys
from exporter.demo.homeserver import KEYS, VERSION, without
from exporter.demo.https_server import JSON, WELL_KNOWN, Request, Response, delegation, redirect
from exporter.demo.ports import drop_packets
from exporter.demo.servers import LabServer, PortFactory, Proxy, Website, federates, pass_through
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.intermediaries import BAD_GATEWAY, always
from tests.lab.key_documents import publish_no_ed25519_key
from tests.lab.reverse_proxy import (
    allow_reads_only,
    allow_reads_only_behind_another_proxy,
    decode_paths,
    forward_version_1_only,
    forward_version_and_keys_only,
    limit_bodies,
    refuse_encoded_slashes,
    serve_own_page_for_unknown_paths,
)
from tests.lab.slow import FOR_HOURS, slow_down

_LARGE = Response(
    200, (JSON,), b'{"m.server": "well-known-enormous.lab.test:8448", "padding": "' + b"x" * 60_000 + b'"}'
)
_ARRAY = Response(200, (JSON,), b"[]")


async def crash(_: Request) -> Response:
    """Close the connection without a response."""
    raise ConnectionAbortedError("this homeserver closes the connection here")


def broken_well_known(
    host: str,
    ip: str,
    shows: str,
    reason: Reason,
    port: Website | PortFactory,
) -> LabServer:
    """A server whose web server is broken, and whose port 8448, where peers fall back to, works."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:443": port, f"{ip}:8448": federates(host)},
        expected=frozenset({(Stage.WELL_KNOWN, reason)}),
    )


def broken_proxy(host: str, ip: str, shows: str, reason: Reason, proxy: Proxy) -> LabServer:
    """A server without delegation, behind a broken reverse proxy."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:8448": federates(host, proxy=proxy)},
        expected=frozenset({(Stage.PROXY, reason)}),
    )


BAD_RESPONSE_SERVERS = (
    # ------------------------------------------------------------ the web server
    broken_well_known(
        "well-known-error.lab.test",
        "192.0.2.130",
        "a well-known that responds with status 500",
        Reason.HTTP_STATUS,
        Website("well-known-error.lab.test", {WELL_KNOWN: Response(500)}),
    ),
    broken_well_known(
        "well-known-expired.lab.test",
        "192.0.2.131",
        "a web server with an expired certificate",
        Reason.CERTIFICATE_EXPIRED,
        Website("well-known-expired.lab.test", certificate=EXPIRED),
    ),
    LabServer(
        "well-known-only.lab.test",
        "a web server with an expired certificate, and nothing on port 8448, where peers fall back to",
        Method.DEFAULT_8448,
        zone="well-known-only.lab.test A 192.0.2.137",
        ports={
            "192.0.2.137:443": Website(
                "well-known-only.lab.test",
                {WELL_KNOWN: delegation("hs.well-known-only.lab.test:443")},
                certificate=EXPIRED,
            )
        },
        expected=frozenset({(Stage.WELL_KNOWN, Reason.CERTIFICATE_EXPIRED), (Stage.TCP, Reason.CONNECT_REFUSED)}),
    ),
    broken_well_known(
        "well-known-wrong-name.lab.test",
        "192.0.2.132",
        "a web server with a certificate for another name",
        Reason.CERTIFICATE_NAME_MISMATCH,
        Website("well-known-wrong-name.lab.test", certificate=WRONG_NAME),
    ),
    broken_well_known(
        "well-known-black-hole.lab.test",
        "192.0.2.133",
        "a firewall that drops all packets to port 443",
        Reason.CONNECT_TIMEOUT,
        drop_packets,
    ),
    broken_well_known(
        "well-known-loop.lab.test",
        "192.0.2.134",
        "a well-known that is redirected to itself",
        Reason.REDIRECT,
        Website("well-known-loop.lab.test", {WELL_KNOWN: redirect(f"https://well-known-loop.lab.test{WELL_KNOWN}")}),
    ),
    broken_well_known(
        "well-known-enormous.lab.test",
        "192.0.2.135",
        "a well-known of 60 kB",
        Reason.TOO_LARGE,
        Website("well-known-enormous.lab.test", {WELL_KNOWN: _LARGE}),
    ),
    broken_well_known(
        "well-known-url.lab.test",
        "192.0.2.136",
        "a well-known that contains a URL instead of a server name",
        Reason.INVALID_DELEGATION,
        Website("well-known-url.lab.test", {WELL_KNOWN: delegation("https://hs.well-known-url.lab.test")}),
    ),
    # ------------------------------------------------------------ the homeserver
    LabServer(
        "crash.lab.test",
        "a homeserver that closes the connection when it is asked for its version",
        Method.DEFAULT_8448,
        zone="crash.lab.test A 192.0.2.140",
        ports={"192.0.2.140:8448": Website("crash.lab.test", {VERSION: crash}, proxy=pass_through)},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_PROTOCOL)}),
    ),
    LabServer(
        "silent.lab.test",
        "a homeserver that does not respond",
        Method.DEFAULT_8448,
        zone="silent.lab.test A 192.0.2.141",
        ports={"192.0.2.141:8448": federates("silent.lab.test", proxy=slow_down(FOR_HOURS))},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_TIMEOUT), (Stage.KEYS, Reason.HTTP_TIMEOUT)}),
    ),
    LabServer(
        "version-list.lab.test",
        "a homeserver whose version is a JSON array",
        Method.DEFAULT_8448,
        zone="version-list.lab.test A 192.0.2.142",
        ports={"192.0.2.142:8448": Website("version-list.lab.test", {VERSION: _ARRAY}, proxy=pass_through)},
        expected=frozenset({(Stage.VERSION, Reason.INVALID_CONTENT)}),
    ),
    LabServer(
        "no-keys.lab.test",
        "a homeserver that does not publish the keys with which peers verify its events",
        Method.DEFAULT_8448,
        zone="no-keys.lab.test A 192.0.2.143",
        ports={"192.0.2.143:8448": federates("no-keys.lab.test")},
        expected=frozenset({(Stage.KEYS, Reason.HTTP_STATUS)}),
        homeserver=without(KEYS),
    ),
    LabServer(
        "homeserver-down.lab.test",
        "a reverse proxy whose homeserver is down",
        Method.DEFAULT_8448,
        zone="homeserver-down.lab.test A 192.0.2.145",
        ports={"192.0.2.145:8448": federates("homeserver-down.lab.test", proxy=always(BAD_GATEWAY))},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_STATUS), (Stage.KEYS, Reason.HTTP_STATUS)}),
    ),
    broken_keys(
        "no-signing-key.lab.test",
        "192.0.2.144",
        "published keys with no ed25519 key among them",
        Reason.NO_SIGNING_KEY,
        publish_no_ed25519_key,
    ),
    # ------------------------------------------------------------ the reverse proxy
    broken_proxy(
        "path-decoded.lab.test",
        "192.0.2.150",
        "a reverse proxy that decodes paths",
        Reason.PATH_DECODED,
        decode_paths,
    ),
    broken_proxy(
        "path-refused.lab.test",
        "192.0.2.155",
        "a reverse proxy that refuses paths with an encoded slash",
        Reason.PATH_DECODED,
        refuse_encoded_slashes,
    ),
    broken_proxy(
        "body-limit.lab.test",
        "192.0.2.151",
        "a reverse proxy that refuses bodies of more than 1 MiB",
        Reason.BODY_LIMIT,
        limit_bodies,
    ),
    broken_proxy(
        "read-only.lab.test",
        "192.0.2.153",
        "a reverse proxy that allows GET but refuses PUT",
        Reason.HTTP_STATUS,
        allow_reads_only,
    ),
    broken_proxy(
        "read-only-inside.lab.test",
        "192.0.2.156",
        "two reverse proxies in a row, of which the second one allows GET but refuses PUT",
        Reason.HTTP_STATUS,
        allow_reads_only_behind_another_proxy,
    ),
    broken_proxy(
        "version-1-only.lab.test",
        "192.0.2.157",
        "a reverse proxy that forwards version 1 of the federation API only, so that joins fail",
        Reason.NOT_FORWARDED,
        forward_version_1_only,
    ),
    broken_proxy(
        "not-forwarded.lab.test",
        "192.0.2.154",
        "a reverse proxy that forwards requests for the version and the keys only",
        Reason.NOT_FORWARDED,
        forward_version_and_keys_only,
    ),
    broken_proxy(
        "catch-all.lab.test",
        "192.0.2.152",
        "a reverse proxy that serves a page of its own for every path that the homeserver does not know",
        Reason.CATCH_ALL,
        serve_own_page_for_unknown_paths,
    ),
)
