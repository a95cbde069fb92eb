"""One Synapse for all tests: starting it takes longer than the tests themselves."""

from collections.abc import Iterator

import pytest

from exporter.demo.authority import Authority
from tests.e2e.processes import log_on_failure
from tests.e2e.real_network import SERVER_NAME
from tests.e2e.synapse import Synapse, synapse


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def started(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synapse]:
    with synapse(tmp_path_factory.mktemp("synapse"), SERVER_NAME, authority.issue([SERVER_NAME])) as homeserver:
        yield homeserver


@pytest.fixture
def homeserver(started: Synapse) -> Iterator[Synapse]:
    with log_on_failure(started.log):
        yield started
