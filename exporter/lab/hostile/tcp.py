"""TCP: connections that are not made, or break."""

from exporter.lab.faults import Fault
from exporter.lab.hostile.at_8448 import Hostile, anywhere, found, numbered
from exporter.vocabulary import Reason, Stage

TCP_SERVERS = numbered(
    "198.51.100.",
    (
        Hostile(
            "tcp-refused",
            "nothing listens",
            anywhere(Fault.CONNECTION_REFUSED),
            found(Stage.TCP, Reason.CONNECT_REFUSED),
        ),
        Hostile(
            "tcp-black-hole",
            "a firewall that drops everything",
            anywhere(Fault.BLACK_HOLE),
            found(Stage.TCP, Reason.CONNECT_TIMEOUT),
        ),
        Hostile(
            "tcp-no-route",
            "an address to which no route leads",
            anywhere(Fault.UNREACHABLE),
            found(Stage.TCP, Reason.UNREACHABLE),
        ),
        Hostile(
            "tcp-stall",
            "the connection is made, and nothing is said",
            anywhere(Fault.STALL),
            found(Stage.TLS, Reason.TLS_TIMEOUT),
        ),
    ),
)
