"""TCP: connections that are not made, or that end at any moment before TLS is there."""

from collections.abc import Callable

from exporter.demo.listener import ConnectionHandler
from exporter.demo.ports import Fault, reset
from exporter.demo.servers import LabServer, Place, RawPort, federates
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.hostile.connection_handlers import answers, close, shuts_down
from tests.lab.hostile.rows import HostileServer, anywhere, found, numbered
from tests.lab.hostile.tls_records import server_hello

BROKEN_OFF = found(Stage.TLS, Reason.TLS_HANDSHAKE)
SILENT = found(Stage.TLS, Reason.TLS_TIMEOUT)
HALF_A_HELLO = server_hello()[:20]


def raw(behaviour: ConnectionHandler) -> Callable[[str], Place]:
    return anywhere(RawPort(behaviour))


def one_of_two(label: str, ipv6: str, fault: Fault, reason: Reason) -> LabServer:
    """It works over IPv4, and not over IPv6."""
    host = f"{label}.hostile.test"
    return LabServer(
        host,
        f"{reason} over IPv6 only",
        Method.DEFAULT_8448,
        zone=f"{host} A 192.0.2.10\n{host} AAAA {ipv6}",
        places={"192.0.2.10:8448": federates(host), f"[{ipv6}]:8448": fault},
        expected=found(Stage.TCP, reason),
    )


def at_many_addresses(host: str, ips: tuple[str, ...]) -> LabServer:
    return LabServer(
        host,
        f"it works, at {len(ips)} addresses",
        Method.SRV_FED,
        zone="\n".join(
            f"_matrix-fed._tcp.{host} SRV 10 5 8448 {number % 2}.{host}.\n{number % 2}.{host} AAAA {ip}"
            for number, ip in enumerate(ips)
        ),
        places={f"[{ip}]:8448": federates(host) for ip in ips},
    )


SWARM = at_many_addresses("tcp-swarm.hostile.test", tuple(f"2001:db8:2::{number:x}" for number in range(1, 33)))

TCP_SERVERS = (
    *numbered(
        "198.51.100.",
        (
            HostileServer(
                "tcp-refused",
                "nothing listens",
                anywhere(Fault.CONNECTION_REFUSED),
                found(Stage.TCP, Reason.CONNECT_REFUSED),
            ),
            HostileServer(
                "tcp-black-hole",
                "a firewall that drops everything",
                anywhere(Fault.BLACK_HOLE),
                found(Stage.TCP, Reason.CONNECT_TIMEOUT),
            ),
            HostileServer(
                "tcp-no-route",
                "an address to which no route leads",
                anywhere(Fault.UNREACHABLE),
                found(Stage.TCP, Reason.UNREACHABLE),
            ),
            HostileServer("tcp-stall", "a connection, and then nothing", anywhere(Fault.STALL), SILENT),
            HostileServer("tcp-half-closed", "the end of the stream, and then nothing", raw(shuts_down), BROKEN_OFF),
            HostileServer("tcp-end", "the end after our hello", raw(answers(b"", close)), BROKEN_OFF),
            HostileServer("tcp-reset", "a reset after our hello", raw(answers(b"", reset)), BROKEN_OFF),
            HostileServer("tcp-half-hello-end", "the end amid a hello", raw(answers(HALF_A_HELLO, close)), BROKEN_OFF),
            HostileServer(
                "tcp-half-hello-reset", "a reset amid a hello", raw(answers(HALF_A_HELLO, reset)), BROKEN_OFF
            ),
            HostileServer("tcp-half-hello-stall", "nothing more amid a hello", raw(answers(HALF_A_HELLO)), SILENT),
            HostileServer("tcp-hello-end", "the end after a hello", raw(answers(server_hello(), close)), BROKEN_OFF),
            HostileServer("tcp-hello-reset", "a reset after a hello", raw(answers(server_hello(), reset)), BROKEN_OFF),
        ),
    ),
    SWARM,
    one_of_two("tcp-ipv6-refused", "2001:db8:1::1", Fault.CONNECTION_REFUSED, Reason.CONNECT_REFUSED),
    one_of_two("tcp-ipv6-black-hole", "2001:db8:1::2", Fault.BLACK_HOLE, Reason.CONNECT_TIMEOUT),
)
