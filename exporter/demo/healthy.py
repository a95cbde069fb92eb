"""The healthy servers that `demo` shows: every method of delegation, and every kind of address.

192.0.2.x and 2001:db8::x are addresses of the server name itself, 198.51.100.x and 203.0.113.x those of the hosts that
it delegates to.
"""

from exporter.demo.https_server import WELL_KNOWN, delegation, redirect
from exporter.demo.servers import LabServer, Website, delegates, federates
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method

HEALTHY_SERVERS = (
    LabServer(
        "default-port.lab.test",
        "no delegation: peers connect to port 8448 of the server name",
        Method.DEFAULT_8448,
        zone="default-port.lab.test A 192.0.2.1",
        ports={
            "192.0.2.1:443": Website("default-port.lab.test"),
            "192.0.2.1:8448": federates("default-port.lab.test"),
        },
    ),
    LabServer(
        "explicit-port.lab.test:8449",
        "a server name with a port: peers look for no delegation",
        Method.EXPLICIT_PORT,
        zone="explicit-port.lab.test A 192.0.2.2",
        ports={"192.0.2.2:8449": federates("explicit-port.lab.test")},
    ),
    LabServer(
        "well-known-port.lab.test",
        "a well-known that delegates to a host and a port",
        Method.WELL_KNOWN_PORT,
        zone="""
            well-known-port.lab.test    A 192.0.2.3
            hs.well-known-port.lab.test A 198.51.100.3
        """,
        ports={
            "192.0.2.3:443": delegates("well-known-port.lab.test", "hs.well-known-port.lab.test:8449"),
            "198.51.100.3:8449": federates("hs.well-known-port.lab.test"),
        },
    ),
    LabServer(
        "well-known-ip.lab.test",
        "a well-known that delegates to an IP address",
        Method.WELL_KNOWN_IP,
        zone="well-known-ip.lab.test A 192.0.2.4",
        ports={
            "192.0.2.4:443": delegates("well-known-ip.lab.test", "198.51.100.4"),
            "198.51.100.4:8448": federates("198.51.100.4"),
        },
    ),
    LabServer(
        "well-known-srv.lab.test",
        "a well-known that delegates to a host with an SRV record",
        Method.WELL_KNOWN_SRV_FED,
        zone="""
            well-known-srv.lab.test                      A   192.0.2.5
            _matrix-fed._tcp.fed.well-known-srv.lab.test SRV 10 5 8450 hs.well-known-srv.lab.test.
            hs.well-known-srv.lab.test                   A   198.51.100.5
        """,
        ports={
            "192.0.2.5:443": delegates("well-known-srv.lab.test", "fed.well-known-srv.lab.test"),
            "198.51.100.5:8450": federates("fed.well-known-srv.lab.test"),
        },
    ),
    LabServer(
        "well-known-srv-legacy.lab.test",
        "a well-known that delegates to a host with an SRV record under the deprecated name _matrix._tcp",
        Method.WELL_KNOWN_SRV_LEGACY,
        zone="""
            well-known-srv-legacy.lab.test                  A   192.0.2.6
            _matrix._tcp.fed.well-known-srv-legacy.lab.test SRV 10 5 8450 hs.well-known-srv-legacy.lab.test.
            hs.well-known-srv-legacy.lab.test               A   198.51.100.6
        """,
        ports={
            "192.0.2.6:443": delegates("well-known-srv-legacy.lab.test", "fed.well-known-srv-legacy.lab.test"),
            "198.51.100.6:8450": federates("fed.well-known-srv-legacy.lab.test"),
        },
        warnings=frozenset({WarningName.LEGACY_SRV_ONLY}),
    ),
    LabServer(
        "well-known.lab.test",
        "a well-known that delegates to a host without SRV records: peers connect to its port 8448",
        Method.WELL_KNOWN_8448,
        zone="""
            well-known.lab.test    A 192.0.2.7
            hs.well-known.lab.test A 198.51.100.7
        """,
        ports={
            "192.0.2.7:443": delegates("well-known.lab.test", "hs.well-known.lab.test"),
            "198.51.100.7:8448": federates("hs.well-known.lab.test"),
        },
    ),
    LabServer(
        "srv.lab.test",
        "an SRV record under the name _matrix-fed._tcp",
        Method.SRV_FED,
        zone="""
            srv.lab.test                  A   192.0.2.8
            _matrix-fed._tcp.srv.lab.test SRV 10 5 8450 hs.srv.lab.test.
            hs.srv.lab.test               A   198.51.100.8
        """,
        ports={
            "192.0.2.8:443": Website("srv.lab.test"),
            "198.51.100.8:8450": federates("srv.lab.test"),
        },
    ),
    LabServer(
        "srv-legacy.lab.test",
        "an SRV record under the deprecated name _matrix._tcp only",
        Method.SRV_LEGACY,
        zone="""
            _matrix._tcp.srv-legacy.lab.test SRV 10 5 8450 hs.srv-legacy.lab.test.
            hs.srv-legacy.lab.test           A   198.51.100.9
        """,
        ports={"198.51.100.9:8450": federates("srv-legacy.lab.test")},
        warnings=frozenset({WarningName.LEGACY_SRV_ONLY}),
    ),
    LabServer(
        "srv-priorities.lab.test",
        "two SRV records: a main server, and a spare one with lower priority",
        Method.SRV_FED,
        zone="""
            _matrix-fed._tcp.srv-priorities.lab.test SRV 20 5 8452 spare.srv-priorities.lab.test.
            _matrix-fed._tcp.srv-priorities.lab.test SRV 10 5 8451 first.srv-priorities.lab.test.
            first.srv-priorities.lab.test            A   198.51.100.10
            spare.srv-priorities.lab.test            A   203.0.113.10
        """,
        ports={
            "198.51.100.10:8451": federates("srv-priorities.lab.test"),
            "203.0.113.10:8452": federates("srv-priorities.lab.test"),
        },
    ),
    LabServer(
        "192.0.2.11",
        "an IPv4 address as the server name",
        Method.IP_LITERAL,
        ports={"192.0.2.11:8448": federates("192.0.2.11")},
    ),
    LabServer(
        "[2001:db8::12]:8449",
        "an IPv6 address with a port as the server name",
        Method.IP_LITERAL,
        ports={"[2001:db8::12]:8449": federates("2001:db8::12")},
    ),
    LabServer(
        "ipv6-only.lab.test",
        "a server name that has only an IPv6 address",
        Method.DEFAULT_8448,
        zone="ipv6-only.lab.test AAAA 2001:db8::13",
        ports={
            "[2001:db8::13]:443": Website("ipv6-only.lab.test"),
            "[2001:db8::13]:8448": federates("ipv6-only.lab.test"),
        },
    ),
    LabServer(
        "dual-stack.lab.test",
        "a server name that has both an IPv4 and an IPv6 address",
        Method.DEFAULT_8448,
        zone="""
            dual-stack.lab.test A    192.0.2.14
            dual-stack.lab.test AAAA 2001:db8::14
        """,
        ports={
            "192.0.2.14:443": Website("dual-stack.lab.test"),
            "192.0.2.14:8448": federates("dual-stack.lab.test"),
            "[2001:db8::14]:443": Website("dual-stack.lab.test"),
            "[2001:db8::14]:8448": federates("dual-stack.lab.test"),
        },
    ),
    LabServer(
        "well-known-redirect.lab.test",
        "a well-known that is redirected to another host",
        Method.WELL_KNOWN_PORT,
        zone="""
            well-known-redirect.lab.test     A 192.0.2.15
            www.well-known-redirect.lab.test A 198.51.100.15
            hs.well-known-redirect.lab.test  A 203.0.113.15
        """,
        ports={
            "192.0.2.15:443": Website(
                "well-known-redirect.lab.test",
                {WELL_KNOWN: redirect("https://www.well-known-redirect.lab.test/matrix-server.json")},
            ),
            "198.51.100.15:443": Website(
                "www.well-known-redirect.lab.test",
                {"/matrix-server.json": delegation("hs.well-known-redirect.lab.test:443")},
            ),
            "203.0.113.15:443": federates("hs.well-known-redirect.lab.test"),
        },
    ),
)
