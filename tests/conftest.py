"""What holds for every test."""

import math

import pytest

from exporter.runtime import loop_lag


@pytest.fixture(autouse=True)
def nothing_spoils_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy with other tests, and the lab runs on the event loop of what probes it."""
    monkeypatch.setattr(loop_lag, "STALL_SECONDS", math.inf)
