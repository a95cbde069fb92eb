"""All targets, and the inputs that they begin with.

A target takes bytes, does what the real code does with them, and fails where that breaks a promise.
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
    metrics,
    server_names,
    site,
    well_known,
)

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Target:
    run: Callable[[bytes], None]
    mutations: int
    """How many are tried whenever the tests run: a second of work."""
    files: str = ""
    """Where tests of other kinds keep inputs: a pattern, relative to `tests`."""

    @property
    def name(self) -> str:
        return self.run.__name__

    def seeds(self) -> list[bytes]:
        """Each line of the corpus is one input, as Python writes bytes."""
        lines = (HERE / "corpus" / f"{self.name}.txt").read_text().splitlines()
        files = sorted(HERE.parent.glob(self.files)) if self.files else []
        return [*map(ast.literal_eval, lines), *(path.read_bytes() for path in files)]


TARGETS = {
    target.name: target
    for target in (
        Target(server_names.server_name, 20_000),
        Target(well_known.well_known, 5_000),
        Target(well_known.redirect, 5_000),
        Target(dns_answers.dns_answer, 2_000),
        Target(certificates.certificates, 2_000),
        Target(homeserver.version, 5_000),
        Target(homeserver.keys, 1_000),
        Target(homeserver.notary, 1_000),
        Target(http_answers.http, 2_000),
        Target(configuration.config, 500, "config/cases/*.yaml"),
        Target(configuration.web_config, 500, "web/settings/cases/*.yaml"),
        Target(configuration.server_file, 500),
        Target(configuration.destinations, 1_000),
        Target(site.requests, 500),
        Target(site.accept, 10_000),
        Target(metrics.metrics, 200),
    )
}
