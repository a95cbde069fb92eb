"""A notary, and servers whose keys it has, has wrongly, and does not have. The demo asks no notary."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from exporter.demo.homeserver import Homeserver
from exporter.demo.servers import LabServer, RunningServer, delegates, federates
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.notary import QUERY, Notary

NOTARY: Final = "notary.lab.test"
_CONFIRMED, _IMPERSONATED = "confirmed.lab.test", "impersonated.lab.test"


def serve_queries(running: Mapping[str, RunningServer]) -> None:
    """The notary has fetched the keys of one server, and under the name of another one those of another machine."""
    notary = running[NOTARY]
    known = {_CONFIRMED: running[_CONFIRMED].homeserver, _IMPERSONATED: Homeserver(_IMPERSONATED)}
    notary.federation_site.resources[QUERY] = Notary(notary.homeserver, known).respond


def healthy(name: str, ip: str, shows: str) -> LabServer:
    return LabServer(name, shows, Method.DEFAULT_8448, zone=f"{name} A {ip}", ports={f"{ip}:8448": federates(name)})


NOTARY_SERVERS = (
    LabServer(
        NOTARY,
        "a notary, which is found by its well-known",
        Method.WELL_KNOWN_PORT,
        zone="notary.lab.test A 203.0.113.30\nmatrix.notary.lab.test A 203.0.113.31",
        ports={
            "203.0.113.30:443": delegates(NOTARY, "matrix.notary.lab.test:443"),
            "203.0.113.31:443": federates("matrix.notary.lab.test"),
        },
        on_started=serve_queries,
    ),
    healthy(_CONFIRMED, "203.0.113.32", "a server whose keys a notary confirms"),
    replace(
        healthy(_IMPERSONATED, "203.0.113.33", "a server for which a notary has other keys"),
        expected=frozenset({(Stage.NOTARY, Reason.SIGNATURE_INVALID)}),
        warnings=frozenset({WarningName.NOTARY_DISAGREES}),
    ),
    healthy("unknown.lab.test", "203.0.113.34", "a server that no notary knows"),
)
