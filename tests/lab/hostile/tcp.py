"""TCP: connections that fail, or that end before the TLS handshake is complete."""

from exporter.demo.ports import drop_packets, refuse_connections
from exporter.demo.servers import LabServer, PortFactory, federates
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.connection_handlers import answer, close, shut_down
from tests.lab.hostile.rows import HostileServer, found, nameless, numbered, raw
from tests.lab.hostile.tls_records import server_hello
from tests.lab.ports import have_no_route, reset, stall

BROKEN_OFF = found(Stage.TLS, Reason.TLS_HANDSHAKE)
SILENT = found(Stage.TLS, Reason.TLS_TIMEOUT)
HALF_A_HELLO = server_hello()[:20]


def broken_over_ipv6(label: str, ipv6: str, port: PortFactory, reason: Reason) -> LabServer:
    """A server that works over IPv4 only."""
    host = f"{label}.hostile.test"
    return LabServer(
        host,
        f"{reason} over IPv6 only",
        Method.DEFAULT_8448,
        zone=f"{host} A 192.0.2.10\n{host} AAAA {ipv6}",
        ports={"192.0.2.10:8448": federates(host), f"[{ipv6}]:8448": port},
        expected=found(Stage.TCP, reason),
    )


def healthy_at(host: str, ips: tuple[str, ...]) -> LabServer:
    return LabServer(
        host,
        f"a server that works, at {len(ips)} addresses",
        Method.SRV_FED,
        zone="\n".join(
            f"_matrix-fed._tcp.{host} SRV 10 5 8448 {number % 2}.{host}.\n{number % 2}.{host} AAAA {ip}"
            for number, ip in enumerate(ips)
        ),
        ports={f"[{ip}]:8448": federates(host) for ip in ips},
    )


SWARM = healthy_at("tcp-swarm.hostile.test", tuple(f"2001:db8:2::{number:x}" for number in range(1, 33)))

TCP_SERVERS = (
    *numbered(
        "198.51.100.",
        (
            HostileServer(
                "tcp-refused",
                "a port where nothing listens",
                nameless(refuse_connections),
                found(Stage.TCP, Reason.CONNECT_REFUSED),
            ),
            HostileServer(
                "tcp-black-hole",
                "a firewall that drops all packets",
                nameless(drop_packets),
                found(Stage.TCP, Reason.CONNECT_TIMEOUT),
            ),
            HostileServer(
                "tcp-no-route",
                "an address without a route to it",
                nameless(have_no_route),
                found(Stage.TCP, Reason.UNREACHABLE),
            ),
            HostileServer("tcp-stall", "a connection that stays silent", raw(stall), SILENT),
            HostileServer("tcp-half-closed", "the end of the stream on an open connection", raw(shut_down), BROKEN_OFF),
            HostileServer("tcp-end", "a close after the ClientHello", raw(answer(b"", close)), BROKEN_OFF),
            HostileServer("tcp-reset", "a reset after the ClientHello", raw(answer(b"", reset)), BROKEN_OFF),
            HostileServer(
                "tcp-half-hello-end", "a close within the ServerHello", raw(answer(HALF_A_HELLO, close)), BROKEN_OFF
            ),
            HostileServer(
                "tcp-half-hello-reset", "a reset within the ServerHello", raw(answer(HALF_A_HELLO, reset)), BROKEN_OFF
            ),
            HostileServer("tcp-half-hello-stall", "a stall within the ServerHello", raw(answer(HALF_A_HELLO)), SILENT),
            HostileServer(
                "tcp-hello-end", "a close after the ServerHello", raw(answer(server_hello(), close)), BROKEN_OFF
            ),
            HostileServer(
                "tcp-hello-reset", "a reset after the ServerHello", raw(answer(server_hello(), reset)), BROKEN_OFF
            ),
        ),
    ),
    SWARM,
    broken_over_ipv6("tcp-ipv6-refused", "2001:db8:1::1", refuse_connections, Reason.CONNECT_REFUSED),
    broken_over_ipv6("tcp-ipv6-black-hole", "2001:db8:1::2", drop_packets, Reason.CONNECT_TIMEOUT),
)
