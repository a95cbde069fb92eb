"""How tests are distributed over several processes, where `pytest -n` starts them."""

import os
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_LONGEST_FIRST: Final = ("soak", "matrix", "prometheus", "synapse", "subprocess", "silence", "lab")
"""Markers. The tests that take longest begin first, so that no processor waits for one of them in the end."""
_ONE_SYNAPSE: Final = {"tests/e2e/test_notary.py", "tests/e2e/test_proxies.py", "tests/e2e/test_synapse.py"}
"""Files that share a Synapse: it takes longer to start than all their tests."""


def rank(item: pytest.Item) -> int:
    """Return the place in the order of tests."""
    return next(
        (place for place, name in enumerate(_LONGEST_FIRST) if item.get_closest_marker(name)), len(_LONGEST_FIRST)
    )


def number_of_processes(*, fast_tests_only: bool) -> int:
    """Return how many processes `pytest -n auto` starts: slow tests wait more than they compute, fast ones do not."""
    return (os.cpu_count() or 1) * (1 if fast_tests_only else 2)


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no types
    """Gives a whole file to one process, because its tests share fixtures. The files stay in their order."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "one Synapse" if file in _ONE_SYNAPSE else file
