"""All fuzz targets, and their initial inputs.

A target passes bytes to the real code, and fails if that violates an invariant.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import (
    certificates,
    configuration,
    dns_answers,
    homeserver,
    http_answers,
    lenient_json,
    metrics,
    peer,
    server_names,
    site,
    well_known,
)

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Target:
    run: Callable[[bytes], None]
    mutations: int
    """How many mutations the short run tries: a second of work."""
    files: str = ""
    """A pattern for input files of other tests, relative to `tests`."""

    @property
    def name(self) -> str:
        return self.run.__name__

    def seeds(self) -> list[bytes]:
        """Return the initial inputs. Each line of the corpus is one, as a bytes literal of Python."""
        lines = (HERE / "corpus" / f"{self.name}.txt").read_text().splitlines()
        files = sorted(HERE.parent.glob(self.files)) if self.files else []
        return [*map(ast.literal_eval, lines), *(path.read_bytes() for path in files)]


TARGETS = {
    target.name: target
    for target in (
        Target(server_names.server_name, 20_000),
        Target(well_known.well_known, 5_000),
        Target(well_known.redirect, 5_000),
        Target(lenient_json.lenient_json, 5_000),
        Target(dns_answers.dns_answer, 2_000),
        Target(certificates.certificates, 2_000),
        Target(homeserver.version, 5_000),
        Target(homeserver.keys, 1_000),
        Target(homeserver.notary, 1_000),
        Target(homeserver.support, 3_000),
        Target(http_answers.http, 2_000),
        Target(configuration.config, 500, "config/cases/*.yaml"),
        Target(configuration.web_config, 500, "web/settings/cases/*.yaml"),
        Target(configuration.server_file, 500),
        Target(configuration.destinations, 1_000),
        Target(site.requests, 500),
        Target(site.accept, 10_000),
        Target(metrics.metrics, 200),
        Target(peer.authorization, 10_000),
        Target(peer.strangers, 500),
    )
}
