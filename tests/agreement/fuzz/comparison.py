"""Sets federations before a real Synapse and the exporter, and compares what one does with what the other says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.agreement import namespaces
from tests.agreement.served import engine, run_agreement
from tests.agreement.truth import Truth

_JOBS: Final = 2
_ROUNDS: Final = 3
"""A federation disagrees if it does so in every round: a single look is subject to chance and time."""
_PROBE_TIMEOUT: Final = "30s"
_WORKS: Final = "works"


@dataclass(frozen=True, slots=True)
class Disagreement:
    outcomes: frozenset[str]
    """What Synapse did, as in observed.yaml; several if its looks differ."""
    verdict: Mapping[str, Any]
    """`peers.synapse` of the report; empty if there is none."""

    def __str__(self) -> str:
        problem = self.verdict.get("problem")
        said = f"{problem['stage']} {problem['reason']}: {problem['detail']}" if problem else "it federates"
        return f"Synapse: {', '.join(sorted(self.outcomes))}; the exporter: {said if self.verdict else 'no report'}"


async def compare(
    folder: Path, world: Any, federations: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, Disagreement]]:
    """Serve all of them, and return by ID what Synapse did at first, and those that disagree."""
    await world.start()
    config = _write_config(folder, world.ca_file, federations)
    found = {ident: Disagreement(frozenset(), {}) for ident in federations}
    first: dict[str, str] = {}
    with Truth.started(folder / "synapse", world.ca_file) as truth:
        for _ in range(_ROUNDS):
            remaining = {ident: federations[ident] for ident in found}
            outcomes = await truth.look_at_all(remaining)
            first = first or outcomes
            reports = await run_agreement.check_all(remaining, config, _JOBS)
            verdicts = {ident: report["peers"]["synapse"] if report else {} for ident, report in reports.items()}
            found = {
                ident: Disagreement(earlier.outcomes | {outcomes[ident]}, verdicts[ident])
                for ident, earlier in found.items()
                if verdicts[ident].get("federates") is not (outcomes[ident] == _WORKS)
            }
    return first, found


def new_world(folder: Path) -> Any:
    namespaces.set_up(folder)
    return engine.World(folder)


def _write_config(folder: Path, ca_file: Path, federations: Mapping[str, Any]) -> Path:
    network = {"resolvers": [engine.RESOLVER], "ca_file": str(ca_file), "allow_networks": engine.NETWORKS}
    servers = [federation.name for federation in federations.values()]
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"servers": servers, "probe": {"timeout": _PROBE_TIMEOUT}, "network": network}))
    return config
