"""What an exporter with a name of its own says about federations whose faults no unsigned request shows."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.agreement import signed
from tests.agreement.served import KIT
from tests.programs import ADMINISTRATORS_FOLDER

ROOT: Final = Path(__file__).parents[2]
SECONDS: Final = 600  # 10 seconds on an idle machine


def test_every_unseen_federation_counts_or_has_a_reason_not_to() -> None:
    """A new one of the kit cannot be forgotten."""
    observations = yaml.safe_load((KIT / "observed.yaml").read_text(encoding="utf-8"))
    unseen = {ident for ident, seen in observations.items() if seen.get("unseen")}
    counted = {ident for ident, seen in signed.chosen().items() if "unseen" not in seen}
    assert unseen == (unseen & counted) | set(signed.CANNOT_BE_SEEN)
    assert len(unseen) == 2


@pytest.mark.soak
@pytest.mark.system("nginx")
@pytest.mark.timeout(SECONDS)
@pytest.mark.usefixtures("namespaces")
def test_signed_requests_show_what_unsigned_ones_cannot() -> None:
    """Those count as well that are `unseen`, and nobody else is blamed."""
    looks = subprocess.run(
        [sys.executable, "-m", "tests.agreement.signed"],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in looks.stdout.splitlines() if line.startswith(("FAIL", "note"))] == []
    assert looks.returncode == 0, looks.stderr
