"""What the largest and the worst lists take, each in a process of its own."""

import json
import subprocess
import sys

import pytest

from tests.server_lists.reading import LISTS, MAX_SERVERS

pytestmark = pytest.mark.subprocess

MAX_MEBIBYTES = 96  # 12 times the largest list. Before it was bounded, 4 MiB of invalid names took 3.6 GB
MAX_SECONDS = 0.25  # of CPU, until the event loop gets its turn. Before, 4 MiB of invalid names took 9


@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_little_memory_and_does_not_stop_the_event_loop(name: str) -> None:
    """No list does, whether it is accepted, in whole or in part, or refused."""
    command = [sys.executable, "-m", "tests.server_lists.reading", name]
    taken = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert taken["mebibytes"] < MAX_MEBIBYTES
    assert taken["longest_stretch"] < MAX_SECONDS
    assert taken["complaints"] <= 22  # the first, how many more there are, and that there are too many servers
    assert taken["names"] in {0, MAX_SERVERS}
