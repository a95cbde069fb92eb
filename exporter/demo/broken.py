"""The broken servers that `demo` shows, each broken in one way."""

from exporter.demo.authority import EXPIRED, INCOMPLETE_CHAIN, UNTRUSTED, WRONG_NAME
from exporter.demo.homeserver import (
    VERSION,
    KeyPublisher,
    publish_badly_signed_keys,
    publish_expired_keys,
    publish_keys_of_another_server,
    publishing,
    without,
)
from exporter.demo.https_server import WELCOME, WELL_KNOWN
from exporter.demo.ports import drop_packets, refuse_connections, speak_plain_http
from exporter.demo.servers import LabServer, PortFactory, Website, federates
from exporter.demo.zone import SERVFAIL
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason

_BELOW_TLS = (Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.UNREACHABLE)


def broken_port(host: str, ip: str, shows: str, reason: Reason, port: Website | PortFactory) -> LabServer:
    """A server without delegation, whose port 8448 is broken below HTTP."""
    stage = Stage.TCP if reason in _BELOW_TLS else Stage.TLS
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:8448": port},
        expected=frozenset({(stage, reason)}),
    )


def broken_keys(host: str, ip: str, shows: str, reason: Reason, publish_keys: KeyPublisher) -> LabServer:
    """A server without delegation, whose homeserver publishes broken keys."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        ports={f"{ip}:8448": federates(host)},
        expected=frozenset({(Stage.KEYS, reason)}),
        homeserver=publishing(publish_keys),
    )


BROKEN_SERVERS = (
    broken_port(
        "expired.lab.test",
        "192.0.2.101",
        "a certificate that expired yesterday",
        Reason.CERTIFICATE_EXPIRED,
        federates("expired.lab.test", EXPIRED),
    ),
    broken_port(
        "wrong-name.lab.test",
        "192.0.2.102",
        "a certificate for another name",
        Reason.CERTIFICATE_NAME_MISMATCH,
        federates("wrong-name.lab.test", WRONG_NAME),
    ),
    broken_port(
        "untrusted.lab.test",
        "192.0.2.103",
        "a certificate from an authority that no peer trusts",
        Reason.CERTIFICATE_UNTRUSTED,
        federates("untrusted.lab.test", UNTRUSTED),
    ),
    broken_port(
        "incomplete-chain.lab.test",
        "192.0.2.104",
        "a certificate sent without the intermediate certificate",
        Reason.CERTIFICATE_INCOMPLETE_CHAIN,
        federates("incomplete-chain.lab.test", INCOMPLETE_CHAIN),
    ),
    broken_port(
        "refused.lab.test",
        "192.0.2.105",
        "port 8448, where nothing listens",
        Reason.CONNECT_REFUSED,
        refuse_connections,
    ),
    broken_port(
        "black-hole.lab.test",
        "192.0.2.106",
        "a firewall that drops all packets to port 8448",
        Reason.CONNECT_TIMEOUT,
        drop_packets,
    ),
    broken_port(
        "plain-http.lab.test",
        "192.0.2.107",
        "plain HTTP on a port where peers expect TLS",
        Reason.NOT_TLS,
        speak_plain_http,
    ),
    broken_keys(
        "bad-signature.lab.test",
        "192.0.2.108",
        "signing keys with a signature by another key",
        Reason.SIGNATURE_INVALID,
        publish_badly_signed_keys,
    ),
    broken_keys(
        "expired-keys.lab.test",
        "192.0.2.109",
        "signing keys that expired an hour ago",
        Reason.KEY_EXPIRED,
        publish_expired_keys,
    ),
    broken_keys(
        "other-keys.lab.test",
        "192.0.2.110",
        "the signing keys of another server",
        Reason.SERVER_NAME_MISMATCH,
        publish_keys_of_another_server,
    ),
    LabServer(
        "no-version.lab.test",
        "a homeserver without the version endpoint",
        Method.DEFAULT_8448,
        zone="no-version.lab.test A 192.0.2.111",
        ports={"192.0.2.111:8448": federates("no-version.lab.test")},
        expected=frozenset({(Stage.VERSION, Reason.HTTP_STATUS)}),
        homeserver=without(VERSION),
    ),
    LabServer(
        "well-known-html.lab.test",
        "a web page in place of the well-known, and nothing on port 8448, where peers fall back to",
        Method.DEFAULT_8448,
        zone="well-known-html.lab.test A 192.0.2.112",
        ports={"192.0.2.112:443": Website("well-known-html.lab.test", {WELL_KNOWN: WELCOME})},
        expected=frozenset({(Stage.WELL_KNOWN, Reason.NOT_JSON), (Stage.TCP, Reason.CONNECT_REFUSED)}),
    ),
    LabServer(
        "srv-alias.lab.test",
        "an SRV record whose target is an alias (CNAME)",
        Method.SRV_FED,
        zone="""
            _matrix-fed._tcp.srv-alias.lab.test SRV   10 5 8450 alias.srv-alias.lab.test.
            alias.srv-alias.lab.test            CNAME hs.srv-alias.lab.test.
            hs.srv-alias.lab.test               A     198.51.100.113
        """,
        ports={"198.51.100.113:8450": federates("srv-alias.lab.test")},
        expected=frozenset({(Stage.SRV, Reason.SRV_TARGET_ALIAS)}),
    ),
    LabServer(
        "srv-servfail.lab.test",
        "DNS servers that fail on SRV lookups: Synapse gives up, although port 8448 works",
        Method.SRV_FED,
        zone="srv-servfail.lab.test A 192.0.2.114",
        ports={"192.0.2.114:8448": federates("srv-servfail.lab.test")},
        expected=frozenset({(Stage.SRV, Reason.DNS_FAILURE)}),
        warnings=frozenset({WarningName.WORKS_FOR_SOME}),
        dns_faults={
            ("_matrix-fed._tcp.srv-servfail.lab.test", "SRV"): SERVFAIL,
            ("_matrix._tcp.srv-servfail.lab.test", "SRV"): SERVFAIL,
        },
    ),
    LabServer(
        "nxdomain.lab.test",
        "a name that does not exist in DNS",
        Method.DEFAULT_8448,
        expected=frozenset({(Stage.DNS, Reason.NXDOMAIN)}),
    ),
)
