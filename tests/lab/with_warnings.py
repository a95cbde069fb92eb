"""Servers that work, or seem to, and will hurt someone: each shows one warning that `demo` does not show."""

from dataclasses import replace
from ssl import TLSVersion

from exporter.demo.broken import NO_IPV4
from exporter.demo.homeserver import KeyFault
from exporter.demo.https_server import JSON, WELL_KNOWN, Response, delegation
from exporter.demo.servers import HEALTHY, LabServer, Website, delegates, federates
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.reverse_proxy import ProxyFault

REFUSED = frozenset({(Stage.TCP, Reason.CONNECT_REFUSED)})
HALF_BROKEN = frozenset({WarningName.SOME_ENDPOINTS_BROKEN})


def hs_of(host: str, last: int) -> str:
    """The zone of `host` and of its homeserver."""
    return f"{host} A 192.0.2.{last}\nhs.{host} A 198.51.100.{last}"


def well_known_odd(host: str, last: int, shows: str, warning: WarningName, answer: Response) -> LabServer:
    """A well-known that leads to port 443 of hs.`host`, where all is well. `last` is that of its addresses."""
    return LabServer(
        host,
        shows,
        Method.WELL_KNOWN_PORT,
        zone=hs_of(host, last),
        places={
            f"192.0.2.{last}:443": Website(host, {WELL_KNOWN: answer}),
            f"198.51.100.{last}:443": federates(f"hs.{host}"),
        },
        warnings=frozenset({warning}),
    )


def proxy_odd(host: str, ip: str, shows: str, warning: WarningName, proxy: Website) -> LabServer:
    """No delegation, and a homeserver behind a `proxy` that is odd."""
    return LabServer(
        host,
        shows,
        Method.DEFAULT_8448,
        zone=f"{host} A {ip}",
        places={f"{ip}:8448": proxy},
        warnings=frozenset({warning}),
    )


def keys_odd(host: str, ip: str, shows: str, warning: WarningName, fault: KeyFault) -> LabServer:
    """No delegation, and a homeserver whose keys are odd."""
    return replace(proxy_odd(host, ip, shows, warning, federates(host)), key_fault=fault)


WARNING_SERVERS = (
    # ------------------------------------------------------------ delegations
    LabServer(
        "delegation-lost.lab.test",
        "a well-known that was there at the last probe and is gone, and nothing at port 8448, to which peers fall back",
        Method.DEFAULT_8448,
        zone=hs_of("delegation-lost.lab.test", 160),
        places={
            "192.0.2.160:443": delegates("delegation-lost.lab.test", "hs.delegation-lost.lab.test:443"),
            "198.51.100.160:443": federates("hs.delegation-lost.lab.test"),
        },
        expected=REFUSED,
        warnings=NO_IPV4 | {WarningName.DELEGATION_LOST},
        vanishing=(WELL_KNOWN,),
    ),
    LabServer(
        "srv-disagrees.lab.test",
        "a well-known, and an SRV record of the server name that leads elsewhere",
        Method.WELL_KNOWN_PORT,
        zone=hs_of("srv-disagrees.lab.test", 161)
        + "\n_matrix-fed._tcp.srv-disagrees.lab.test SRV 10 5 8450 old.srv-disagrees.lab.test.",
        places={
            "192.0.2.161:443": delegates("srv-disagrees.lab.test", "hs.srv-disagrees.lab.test:443"),
            "198.51.100.161:443": federates("hs.srv-disagrees.lab.test"),
        },
        warnings=frozenset({WarningName.SRV_AND_WELL_KNOWN_DISAGREE}),
    ),
    LabServer(
        "split-brain.lab.test",
        "two web servers, of which each has a well-known of its own",
        Method.WELL_KNOWN_PORT,
        zone=hs_of("split-brain.lab.test", 162) + "\nsplit-brain.lab.test A 203.0.113.162",
        places={
            "192.0.2.162:443": delegates("split-brain.lab.test", "hs.split-brain.lab.test:443"),
            "203.0.113.162:443": delegates("split-brain.lab.test", "hs.split-brain.lab.test:8448"),
            "198.51.100.162:443": federates("hs.split-brain.lab.test"),
            "198.51.100.162:8448": federates("hs.split-brain.lab.test"),
        },
        warnings=frozenset({WarningName.WELL_KNOWN_SPLIT_BRAIN}),
    ),
    well_known_odd(
        "well-known-large.lab.test",
        163,
        "a well-known of 13 kB",
        WarningName.WELL_KNOWN_LARGE,
        Response(200, (JSON,), b'{"m.server": "hs.well-known-large.lab.test:443"' + b" " * 13_000 + b"}"),
    ),
    LabServer(
        "well-known-201.lab.test",
        "a well-known that is answered with status 201",
        Method.DEFAULT_8448,
        zone="well-known-201.lab.test A 192.0.2.164",
        places={
            "192.0.2.164:443": Website(
                "well-known-201.lab.test",
                {WELL_KNOWN: Response(201, (JSON,), b'{"m.server": "well-known-201.lab.test:8448"}')},
            ),
            "192.0.2.164:8448": federates("well-known-201.lab.test"),
        },
        expected=frozenset({(Stage.WELL_KNOWN, Reason.HTTP_STATUS)}),
        warnings=frozenset({WarningName.WELL_KNOWN_NOT_200}),
    ),
    well_known_odd(
        "well-known-short.lab.test",
        165,
        "a well-known that peers may keep for a minute",
        WarningName.WELL_KNOWN_CACHE_OUT_OF_BOUNDS,
        Response(200, (JSON, ("Cache-Control", "max-age=60")), delegation("hs.well-known-short.lab.test:443").body),
    ),
    # ------------------------------------------------------------ endpoints
    LabServer(
        "ipv4-broken.lab.test",
        "an IPv4 address at which nothing listens, beside an IPv6 address that works",
        Method.DEFAULT_8448,
        zone="ipv4-broken.lab.test A 192.0.2.170\nipv4-broken.lab.test AAAA 2001:db8::170",
        places={"[2001:db8::170]:8448": federates("ipv4-broken.lab.test")},
        expected=REFUSED,
        warnings=HALF_BROKEN | NO_IPV4,
    ),
    LabServer(
        "ipv6-broken.lab.test",
        "an IPv6 address at which nothing listens, beside an IPv4 address that works",
        Method.DEFAULT_8448,
        zone="ipv6-broken.lab.test A 192.0.2.171\nipv6-broken.lab.test AAAA 2001:db8::171",
        places={"192.0.2.171:8448": federates("ipv6-broken.lab.test")},
        expected=REFUSED,
        warnings=HALF_BROKEN | {WarningName.IPV6_BROKEN},
    ),
    LabServer(
        "half-broken.lab.test",
        "two addresses, at one of which nothing listens",
        Method.DEFAULT_8448,
        zone="half-broken.lab.test A 192.0.2.172\nhalf-broken.lab.test A 203.0.113.172",
        places={"192.0.2.172:8448": federates("half-broken.lab.test")},
        expected=REFUSED,
        warnings=HALF_BROKEN,
    ),
    proxy_odd(
        "tls-old.lab.test",
        "192.0.2.173",
        "a reverse proxy that speaks TLS 1.1 only",
        WarningName.TLS_VERSION_OLD,
        Website("tls-old.lab.test", homeserver=True, tls_version=TLSVersion.TLSv1_1),
    ),
    proxy_odd(
        "host-with-port.lab.test",
        "192.0.2.174",
        "a reverse proxy that knows the name without its port only",
        WarningName.HOST_WITH_PORT_DIFFERS,
        federates("host-with-port.lab.test", behind=ProxyFault.HOST_WITHOUT_PORT_ONLY),
    ),
    # ------------------------------------------------------------ keys
    keys_odd(
        "short-keys.lab.test",
        "192.0.2.180",
        "signing keys that are valid for ten minutes",
        WarningName.KEY_VALIDITY_SHORT,
        KeyFault.SHORT_LIFE,
    ),
    LabServer(
        "keys-differ.lab.test",
        "two machines with signing keys of their own",
        Method.DEFAULT_8448,
        zone="keys-differ.lab.test A 192.0.2.181\nkeys-differ.lab.test A 203.0.113.181",
        places={
            "192.0.2.181:8448": federates("keys-differ.lab.test"),
            "203.0.113.181:8448": Website("keys-differ.lab.test", homeserver=True, twin=True),
        },
        expected=HEALTHY,
        warnings=frozenset({WarningName.KEYS_DIFFER}),
    ),
    proxy_odd(
        "keys-as-text.lab.test",
        "192.0.2.182",
        "signing keys that are said to be plain text",
        WarningName.KEYS_CONTENT_TYPE,
        federates("keys-as-text.lab.test", behind=ProxyFault.LOSES_CONTENT_TYPE),
    ),
    keys_odd(
        "old-key.lab.test",
        "192.0.2.183",
        "an old signing key that has yet to expire",
        WarningName.OLD_KEY_INCONSISTENT,
        KeyFault.OLD_KEY_IN_FUTURE,
    ),
)
