"""The three homeservers: one for each way in which most servers delegate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deploy.demo.homeserver import Synapse
from exporter.demo.federation import Federation
from exporter.demo.https_server import Site
from exporter.demo.servers import LabServer, Proxy, RunningServer, delegates, federates
from exporter.model.enums import Method

WELL_KNOWN: Final = "well-known.demo.test"
SRV: Final = "srv.demo.test"
PORT_8448: Final = "port-8448.demo.test"
NAMES: Final = (WELL_KNOWN, SRV, PORT_8448)


@dataclass(frozen=True, slots=True)
class Homeserver:
    """A Synapse in the federation. Whatever others see of it can be changed."""

    synapse: Synapse
    federation: Federation

    @property
    def front(self) -> RunningServer:
        """Its DNS records, its web server, and its reverse proxy."""
        return self.federation.server(self.synapse.server_name)


def describe(synapses: Sequence[Synapse]) -> tuple[LabServer, ...]:
    """Describe what leads to the Synapses of `NAMES`, in this order, for the federation."""
    by_well_known, by_srv, by_port = map(_proxy_for, synapses)
    return (
        LabServer(
            WELL_KNOWN,
            "a well-known on its web server",
            Method.WELL_KNOWN_PORT,
            zone=f"""
                {WELL_KNOWN}        A 192.0.2.1
                matrix.{WELL_KNOWN} A 198.51.100.1
            """,
            ports={
                "192.0.2.1:443": delegates(WELL_KNOWN, f"matrix.{WELL_KNOWN}:443"),
                "198.51.100.1:443": federates(f"matrix.{WELL_KNOWN}", proxy=by_well_known),
            },
        ),
        LabServer(
            SRV,
            "an SRV record",
            Method.SRV_FED,
            zone=f"""
                {SRV}                  A   192.0.2.2
                _matrix-fed._tcp.{SRV} SRV 10 5 8449 matrix.{SRV}.
                matrix.{SRV}           A   198.51.100.2
            """,
            ports={"198.51.100.2:8449": federates(SRV, proxy=by_srv)},
        ),
        LabServer(
            PORT_8448,
            "no delegation, so port 8448",
            Method.DEFAULT_8448,
            zone=f"{PORT_8448} A 192.0.2.3",
            ports={"192.0.2.3:8448": federates(PORT_8448, proxy=by_port)},
        ),
    )


def _proxy_for(synapse: Synapse) -> Proxy:
    return lambda _: Site(fallback=synapse.forward)
