"""Servers that work, or seem to, but will cause trouble: each shows a warning that `demo` does not show."""

from dataclasses import replace
from ssl import TLSVersion
from typing import Final

from exporter.demo.authority import EXPIRED
from exporter.demo.homeserver import KeyPublisher, publishing
from exporter.demo.https_server import JSON, WELL_KNOWN, Response, delegation, redirect
from exporter.demo.servers import LabServer, Proxy, Website, delegates, federates, pass_through
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.dns_faults import drop
from tests.lab.intermediaries import (
    CHALLENGE,
    MISDIRECTED,
    ORIGIN_TLS_FAILED,
    admit_homeservers_only,
    always,
    compress,
)
from tests.lab.key_documents import publish_old_key_of_tomorrow, publish_padded_keys, publish_short_lived_keys
from tests.lab.ports import serve_over_plain_http
from tests.lab.reverse_proxy import (
    add_long_header_line,
    know_host_without_port_only,
    lead_to_another_homeserver,
    replace_content_type,
)
from tests.lab.tls_versions import only, only_cipher

_REFUSED = frozenset({(Stage.TCP, Reason.CONNECT_REFUSED)})
_INTERMEDIARY = frozenset({WarningName.INTERMEDIARY})
_SOME_BROKEN = frozenset({WarningName.SOME_ENDPOINTS_BROKEN})
DELEGATION_LOST: Final = "delegation-lost.lab.test"
"""Its well-known is there during the first probe only; the test that runs the lab removes it."""


def zone_with_homeserver(host: str, last: int) -> str:
    """Return the addresses of `host` and of its homeserver."""
    return f"{host} A 192.0.2.{last}\nhs.{host} A 198.51.100.{last}"


def odd_well_known(host: str, last: int, shows: str, warning: WarningName, response: Response) -> LabServer:
    """A server with an odd well-known that leads to port 443 of hs.`host`, which works. `last` ends its addresses."""
    return LabServer(
        host,
        shows,
        Method.WELL_KNOWN_PORT,
        zone=zone_with_homeserver(host, last),
        ports={
            f"192.0.2.{last}:443": Website(host, {WELL_KNOWN: response}),
            f"198.51.100.{last}:443": federates(f"hs.{host}"),
        },
        warnings=frozenset({warning}),
    )


def odd_proxy(host: str, ip: str, shows: str, warning: WarningName, website: Website) -> LabServer:
    """A server without delegation, behind an odd reverse proxy."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:8448": website},
        warnings=frozenset({warning}),
    )


def for_some(host: str, ip: str, shows: str, warning: WarningName, website: Website) -> LabServer:
    """A server like that of `odd_proxy`, where some implementations do not get through."""
    server = odd_proxy(host, ip, shows, warning, website)
    return replace(server, warnings=server.warnings | {WarningName.WORKS_FOR_SOME})


def answered_by(host: str, ip: str, shows: str, proxy: Proxy) -> LabServer:
    """A server without delegation, behind something that answers in the homeserver's place."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:8448": federates(host, proxy=proxy)},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_STATUS), (Stage.KEYS, Reason.HTTP_STATUS)}),
        warnings=_INTERMEDIARY,
    )


def odd_keys(host: str, ip: str, shows: str, warning: WarningName, publish_keys: KeyPublisher) -> LabServer:
    """A server without delegation, whose homeserver publishes odd keys."""
    return replace(odd_proxy(host, ip, shows, warning, federates(host)), homeserver=publishing(publish_keys))


WARNING_SERVERS = (
    # ------------------------------------------------------------ delegations
    LabServer(
        DELEGATION_LOST,
        "a well-known that was there at the last probe and is gone, and nothing on port 8448, where peers fall back to",
        Method.DEFAULT_8448,
        zone=zone_with_homeserver("delegation-lost.lab.test", 160),
        ports={
            "192.0.2.160:443": delegates("delegation-lost.lab.test", "hs.delegation-lost.lab.test:443"),
            "198.51.100.160:443": federates("hs.delegation-lost.lab.test"),
        },
        expected=_REFUSED,
        warnings=frozenset({WarningName.DELEGATION_LOST}),
    ),
    LabServer(
        "srv-disagrees.lab.test",
        "a well-known, and an SRV record of the server name that names another target",
        Method.WELL_KNOWN_PORT,
        zone=zone_with_homeserver("srv-disagrees.lab.test", 161)
        + "\n_matrix-fed._tcp.srv-disagrees.lab.test SRV 10 5 8450 old.srv-disagrees.lab.test.",
        ports={
            "192.0.2.161:443": delegates("srv-disagrees.lab.test", "hs.srv-disagrees.lab.test:443"),
            "198.51.100.161:443": federates("hs.srv-disagrees.lab.test"),
        },
        warnings=frozenset({WarningName.SRV_AND_WELL_KNOWN_DISAGREE}),
    ),
    LabServer(
        "split-brain.lab.test",
        "two web servers that serve different well-knowns",
        Method.WELL_KNOWN_PORT,
        zone=zone_with_homeserver("split-brain.lab.test", 162) + "\nsplit-brain.lab.test A 203.0.113.162",
        ports={
            "192.0.2.162:443": delegates("split-brain.lab.test", "hs.split-brain.lab.test:443"),
            "203.0.113.162:443": delegates("split-brain.lab.test", "hs.split-brain.lab.test:8448"),
            "198.51.100.162:443": federates("hs.split-brain.lab.test"),
            "198.51.100.162:8448": federates("hs.split-brain.lab.test"),
        },
        warnings=frozenset({WarningName.WELL_KNOWN_SPLIT_BRAIN}),
    ),
    LabServer(
        "well-known-ipv6-only.lab.test",
        "a web server that has an IPv6 address only, and a homeserver that has both",
        Method.WELL_KNOWN_PORT,
        zone="""
            well-known-ipv6-only.lab.test    AAAA 2001:db8::167
            hs.well-known-ipv6-only.lab.test A    198.51.100.167
            hs.well-known-ipv6-only.lab.test AAAA 2001:db8:1::167
        """,
        ports={
            "[2001:db8::167]:443": delegates("well-known-ipv6-only.lab.test", "hs.well-known-ipv6-only.lab.test:443"),
            "198.51.100.167:443": federates("hs.well-known-ipv6-only.lab.test"),
            "[2001:db8:1::167]:443": federates("hs.well-known-ipv6-only.lab.test"),
        },
        warnings=frozenset({WarningName.WELL_KNOWN_ONE_FAMILY}),
    ),
    odd_well_known(
        "well-known-large.lab.test",
        163,
        "a well-known of 13 kB",
        WarningName.WELL_KNOWN_LARGE,
        Response(200, (JSON,), b'{"m.server": "hs.well-known-large.lab.test:443"' + b" " * 13_000 + b"}"),
    ),
    LabServer(
        "well-known-201.lab.test",
        "a well-known that responds with status 201",
        Method.DEFAULT_8448,
        zone="well-known-201.lab.test A 192.0.2.164",
        ports={
            "192.0.2.164:443": Website(
                "well-known-201.lab.test",
                {WELL_KNOWN: Response(201, (JSON,), b'{"m.server": "well-known-201.lab.test:8448"}')},
            ),
            "192.0.2.164:8448": federates("well-known-201.lab.test"),
        },
        expected=frozenset({(Stage.WELL_KNOWN, Reason.HTTP_STATUS)}),
        warnings=frozenset({WarningName.WELL_KNOWN_NOT_200}),
    ),
    odd_well_known(
        "well-known-short.lab.test",
        165,
        "a well-known that peers may cache for one minute",
        WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS,
        Response(200, (JSON, ("Cache-Control", "max-age=60")), delegation("hs.well-known-short.lab.test:443").body),
    ),
    LabServer(
        "well-known-insecure.lab.test",
        "a well-known that is redirected to plain http",
        Method.DEFAULT_8448,
        zone="well-known-insecure.lab.test A 192.0.2.166",
        ports={
            "192.0.2.166:443": Website(
                "well-known-insecure.lab.test",
                {WELL_KNOWN: redirect("http://well-known-insecure.lab.test/server.json")},
            ),
            "192.0.2.166:80": serve_over_plain_http(delegation("well-known-insecure.lab.test:8448")),
            "192.0.2.166:8448": federates("well-known-insecure.lab.test"),
        },
        expected=frozenset({(Stage.WELL_KNOWN, Reason.REDIRECT)}),
        warnings=frozenset({WarningName.WELL_KNOWN_INSECURE_REDIRECT}),
    ),
    # ------------------------------------------------------------ endpoints
    LabServer(
        "aaaa-silent.lab.test",
        "DNS servers that reply to queries for A, and never to those for AAAA",
        Method.DEFAULT_8448,
        zone="aaaa-silent.lab.test A 192.0.2.178",
        ports={"192.0.2.178:8448": federates("aaaa-silent.lab.test")},
        warnings=frozenset({WarningName.ADDRESS_LOOKUP_PARTIAL}),
        dns_faults={("aaaa-silent.lab.test", "AAAA"): drop},
    ),
    LabServer(
        "ipv4-broken.lab.test",
        "an IPv4 address where nothing listens, and an IPv6 address that works",
        Method.DEFAULT_8448,
        zone="ipv4-broken.lab.test A 192.0.2.170\nipv4-broken.lab.test AAAA 2001:db8::170",
        ports={"[2001:db8::170]:8448": federates("ipv4-broken.lab.test")},
        expected=_REFUSED,
        warnings=_SOME_BROKEN | {WarningName.IPV4_BROKEN},
    ),
    LabServer(
        "ipv6-broken.lab.test",
        "an IPv6 address where nothing listens, and an IPv4 address that works",
        Method.DEFAULT_8448,
        zone="ipv6-broken.lab.test A 192.0.2.171\nipv6-broken.lab.test AAAA 2001:db8::171",
        ports={"192.0.2.171:8448": federates("ipv6-broken.lab.test")},
        expected=_REFUSED,
        warnings=_SOME_BROKEN | {WarningName.IPV6_BROKEN},
    ),
    LabServer(
        "no-failover.lab.test",
        "two addresses, one of them with an expired certificate",
        Method.DEFAULT_8448,
        zone="no-failover.lab.test A 192.0.2.175\nno-failover.lab.test A 203.0.113.175",
        ports={
            "192.0.2.175:8448": federates("no-failover.lab.test"),
            "203.0.113.175:8448": federates("no-failover.lab.test", EXPIRED),
        },
        expected=frozenset({(Stage.TLS, Reason.CERTIFICATE_EXPIRED)}),
        warnings=_SOME_BROKEN | {WarningName.NO_FAILOVER},
    ),
    LabServer(
        "half-broken.lab.test",
        "two addresses, one of them without a listener",
        Method.DEFAULT_8448,
        zone="half-broken.lab.test A 192.0.2.172\nhalf-broken.lab.test A 203.0.113.172",
        ports={"192.0.2.172:8448": federates("half-broken.lab.test")},
        expected=_REFUSED,
        warnings=_SOME_BROKEN,
    ),
    for_some(
        "tls-cipher-old.lab.test",
        "192.0.2.176",
        "a reverse proxy that offers TLS 1.2 with a CBC cipher suite only",
        WarningName.TLS_CIPHER_OLD,
        Website("tls-cipher-old.lab.test", proxy=pass_through, configure_tls=only_cipher("ECDHE-ECDSA-AES128-SHA256")),
    ),
    for_some(
        "header-line-long.lab.test",
        "192.0.2.177",
        "a reverse proxy that adds a header of 23 kB",
        WarningName.HEADER_LINE_LONG,
        federates("header-line-long.lab.test", proxy=add_long_header_line),
    ),
    odd_proxy(
        "tls-old.lab.test",
        "192.0.2.173",
        "a reverse proxy that offers TLS 1.1 only",
        WarningName.TLS_VERSION_OLD,
        Website("tls-old.lab.test", proxy=pass_through, configure_tls=only(TLSVersion.TLSv1_1)),
    ),
    odd_proxy(
        "host-with-port.lab.test",
        "192.0.2.174",
        "a reverse proxy that knows the server name only without its port",
        WarningName.HOST_WITH_PORT_DIFFERS,
        federates("host-with-port.lab.test", proxy=know_host_without_port_only),
    ),
    # ------------------------------------------------------------ intermediaries
    answered_by(
        "challenge.lab.test",
        "192.0.2.190",
        "a CDN that wants to see a browser, and answers with a challenge",
        always(CHALLENGE),
    ),
    answered_by(
        "misdirected.lab.test",
        "192.0.2.191",
        "a web server that has no site for this name, and says so with status 421",
        always(MISDIRECTED),
    ),
    answered_by(
        "origin-tls.lab.test",
        "192.0.2.192",
        "a CDN that gets no TLS session with the server behind it",
        always(ORIGIN_TLS_FAILED),
    ),
    LabServer(
        "well-known-challenge.lab.test",
        "a CDN that answers a request for the well-known with a challenge",
        Method.DEFAULT_8448,
        zone="well-known-challenge.lab.test A 192.0.2.195",
        ports={
            "192.0.2.195:443": Website("well-known-challenge.lab.test", {WELL_KNOWN: CHALLENGE}),
            "192.0.2.195:8448": federates("well-known-challenge.lab.test"),
        },
        expected=frozenset({(Stage.WELL_KNOWN, Reason.HTTP_STATUS)}),
        warnings=_INTERMEDIARY,
    ),
    replace(
        answered_by(
            "user-agents.lab.test",
            "192.0.2.193",
            "a filter that lets only Synapse and Dendrite pass, by their User-Agent",
            admit_homeservers_only,
        ),
        warnings=_INTERMEDIARY | {WarningName.WORKS_FOR_SOME},
    ),
    replace(
        answered_by(
            "compressed.lab.test",
            "192.0.2.194",
            "a reverse proxy that compresses responses, although the request does not accept that",
            compress,
        ),
        expected=frozenset({(Stage.VERSION, Reason.NOT_JSON), (Stage.KEYS, Reason.NOT_JSON)}),
        warnings=_INTERMEDIARY | {WarningName.WORKS_FOR_SOME},
    ),
    # ------------------------------------------------------------ keys
    odd_keys(
        "short-keys.lab.test",
        "192.0.2.180",
        "signing keys that are valid for ten minutes",
        WarningName.KEY_VALIDITY_SHORT,
        publish_short_lived_keys,
    ),
    LabServer(
        "keys-differ.lab.test",
        "two machines with different signing keys",
        Method.DEFAULT_8448,
        zone="keys-differ.lab.test A 192.0.2.181\nkeys-differ.lab.test A 203.0.113.181",
        ports={
            "192.0.2.181:8448": federates("keys-differ.lab.test"),
            "203.0.113.181:8448": federates("keys-differ.lab.test", proxy=lead_to_another_homeserver),
        },
        warnings=frozenset({WarningName.KEYS_DIFFER}),
    ),
    for_some(
        "keys-as-text.lab.test",
        "192.0.2.182",
        "signing keys with Content-Type: text/plain",
        WarningName.KEYS_CONTENT_TYPE,
        federates("keys-as-text.lab.test", proxy=replace_content_type),
    ),
    odd_keys(
        "old-key.lab.test",
        "192.0.2.183",
        "an old signing key that expires in the future",
        WarningName.OLD_KEY_INCONSISTENT,
        publish_old_key_of_tomorrow,
    ),
    odd_keys(
        "padded-keys.lab.test",
        "192.0.2.184",
        "a signing key in padded base64, which Dendrite does not accept",
        WarningName.WORKS_FOR_SOME,
        publish_padded_keys,
    ),
)
