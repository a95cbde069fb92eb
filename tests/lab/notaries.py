"""A notary, and servers that it knows well, wrongly and not at all. Not part of the demo, which asks no notary."""

from dataclasses import replace

from exporter.demo.servers import LabServer, delegates, federates
from exporter.judging.warnings import WarningName
from exporter.model.enums import Method, Stage
from exporter.model.reasons import Reason
from tests.lab.notary import GivenKeys

NOTARY = "notary.lab.test"


def known(name: str, ip: str, shows: str) -> LabServer:
    return LabServer(name, shows, Method.DEFAULT_8448, zone=f"{name} A {ip}", places={f"{ip}:8448": federates(name)})


NOTARY_SERVERS = (
    LabServer(
        NOTARY,
        "a notary, found by its well-known",
        Method.WELL_KNOWN_PORT,
        zone="notary.lab.test A 203.0.113.30\nmatrix.notary.lab.test A 203.0.113.31",
        places={
            "203.0.113.30:443": delegates(NOTARY, "matrix.notary.lab.test:443"),
            "203.0.113.31:443": federates("matrix.notary.lab.test"),
        },
        gives_out={"confirmed.lab.test": GivenKeys.SAME, "impersonated.lab.test": GivenKeys.OTHER},
    ),
    known("confirmed.lab.test", "203.0.113.32", "a server whose keys a notary confirms"),
    replace(
        known("impersonated.lab.test", "203.0.113.33", "a server that a notary has other keys of"),
        expected=frozenset({(Stage.NOTARY, Reason.SIGNATURE_INVALID)}),
        warnings=frozenset({WarningName.NOTARY_DISAGREES}),
    ),
    known("unknown.lab.test", "203.0.113.34", "a server that no notary knows"),
)
