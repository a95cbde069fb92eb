import pytest

from exporter.lab.authority import Authority, Issued
from tests.internet.raw_https import NAME


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def issued(authority: Authority) -> Issued:
    """A good certificate for example.test."""
    return authority.issue([NAME])
