"""Rows of the tables of hostile servers, and how they become servers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from exporter.demo.authority import Authority
from exporter.demo.listener import ConnectionHandler, Port
from exporter.demo.servers import FEDERATION_PORT, LabServer, PortFactory, Website
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.ports import listen

Problems: TypeAlias = frozenset[tuple[Stage, Reason]]
PortOf: TypeAlias = Callable[[str], Website | PortFactory]
"""Makes what listens at port 8448 from the server name."""


def found(stage: Stage, *reasons: Reason) -> Problems:
    return frozenset((stage, reason) for reason in reasons)


class Row(Protocol):
    """A row of a table, which becomes a hostile server at an address."""

    def at(self, ip: str) -> LabServer: ...


@dataclass(frozen=True, slots=True)
class HostileServer:
    """A row: a server without delegation, whose only port is 8448. `label` is the first label of its name."""

    label: str
    shows: str
    port: PortOf
    expected: Problems

    def at(self, ip: str) -> LabServer:
        host = f"{self.label}.hostile.test"
        ports = {host_port(ip, FEDERATION_PORT): self.port(host)}
        return LabServer(host, self.shows, Method.DEFAULT_8448, f"{host} A {ip}", ports, self.expected)


def numbered(network: str, rows: Iterable[Row], first: int = 1) -> tuple[LabServer, ...]:
    """Give each row an address of its own: `network`, followed by the numbers from `first` on."""
    return tuple(row.at(f"{network}{number}") for number, row in enumerate(rows, first))


def nameless(make: Callable[[Authority], Port]) -> PortOf:
    """A port that does not depend on the server name."""
    return lambda _: make


def raw(handler: ConnectionHandler) -> PortOf:
    """A port whose connections are all served by `handler`."""
    return nameless(listen(handler))
