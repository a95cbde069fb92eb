"""Hostile servers without any delegation: all that there is stands at port 8448 of one address."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from exporter.demo.servers import FEDERATION_PORT, LabServer, Place
from exporter.model.addresses import host_port
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason

Problems: TypeAlias = frozenset[tuple[Stage, Reason]]


def found(stage: Stage, *reasons: Reason) -> Problems:
    return frozenset((stage, reason) for reason in reasons)


@dataclass(frozen=True, slots=True)
class HostileServer:
    """A row of a table: `label` is the first label of the server name, of which `place` makes what stands there."""

    label: str
    shows: str
    place: Callable[[str], Place]
    expected: Problems

    def at(self, ip: str) -> LabServer:
        host = f"{self.label}.hostile.test"
        places = {host_port(ip, FEDERATION_PORT): self.place(host)}
        return LabServer(host, self.shows, Method.DEFAULT_8448, f"{host} A {ip}", places, self.expected)


class Row(Protocol):
    """What becomes a hostile server at an address."""

    def at(self, ip: str) -> LabServer: ...


def numbered(network: str, rows: Iterable[Row], first: int = 1) -> tuple[LabServer, ...]:
    """Each at an address of its own: `network` is followed by `first` and the numbers after it."""
    return tuple(row.at(f"{network}{number}") for number, row in enumerate(rows, first))


def anywhere(place: Place) -> Callable[[str], Place]:
    """What stands there does not care for names."""
    return lambda _: place
