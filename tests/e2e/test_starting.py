"""What is shown where a program does not start."""

from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from tests.e2e.apache import apache
from tests.e2e.nginx import Site, nginx
from tests.e2e.processes import NotStartedError
from tests.e2e.synapse import synapse

pytestmark = pytest.mark.subprocess


@pytest.mark.system("nginx")
def test_complaint_of_nginx_is_shown(tmp_path: Path) -> None:
    """As it stands in what nginx says of its configuration."""
    site = Site(Authority(tmp_path).issue(["example.test"]), "no_such_directive on;")
    with pytest.raises(NotStartedError, match='unknown directive "no_such_directive"'), nginx(tmp_path, [site]):
        pass


@pytest.mark.system("apache2")
def test_complaint_of_apache_is_shown(tmp_path: Path) -> None:
    """As it stands in what Apache says of its configuration."""
    certificate = Authority(tmp_path).issue(["example.test"])
    with (
        pytest.raises(NotStartedError, match="Invalid command 'NoSuchDirective'"),
        apache(tmp_path, certificate, "NoSuchDirective On"),
    ):
        pass


@pytest.mark.synapse
def test_log_of_synapse_is_shown(tmp_path: Path) -> None:
    """As soon as it has ended, and not only when it should have started."""
    name, certificate = "no server name", Authority(tmp_path).issue(["example.test"])
    with pytest.raises(NotStartedError, match=name), synapse(tmp_path, name, certificate):
        pass
