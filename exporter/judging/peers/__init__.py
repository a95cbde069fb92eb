"""What real homeservers make of a server: a verdict of each implementation, derived from one report. Pure."""

from typing import Final

from exporter.judging.peers.conduit import Conduit
from exporter.judging.peers.dendrite import Dendrite
from exporter.judging.peers.peer import Peer, PeerVerdict
from exporter.judging.peers.synapse import Synapse
from exporter.model.enums import Implementation
from exporter.model.report import Report

PEERS: Final[tuple[Peer, ...]] = (Synapse(), Dendrite(), Conduit())


def verdicts(report: Report) -> dict[Implementation, PeerVerdict]:
    return {peer.implementation: peer.verdict(report) for peer in PEERS}
