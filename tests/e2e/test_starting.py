"""The error message of a program that does not start."""

from pathlib import Path

import pytest

from exporter.demo.authority import Authority
from tests.e2e.apache import apache
from tests.e2e.nginx import Site, nginx
from tests.e2e.processes import NotStartedError
from tests.e2e.synapse import synapse

pytestmark = pytest.mark.subprocess


@pytest.mark.system("nginx")
def test_the_error_of_nginx_is_shown(tmp_path: Path) -> None:
    """The message is that of nginx about its configuration."""
    site = Site(Authority(tmp_path).issue(["example.test"]), "no_such_directive on;")
    with pytest.raises(NotStartedError, match='unknown directive "no_such_directive"'), nginx(tmp_path, [site]):
        pass


@pytest.mark.system("apache2")
def test_the_error_of_apache_is_shown(tmp_path: Path) -> None:
    """The message is that of Apache about its configuration."""
    certificate = Authority(tmp_path).issue(["example.test"])
    with (
        pytest.raises(NotStartedError, match="Invalid command 'NoSuchDirective'"),
        apache(tmp_path, certificate, "NoSuchDirective On"),
    ):
        pass


@pytest.mark.synapse
def test_the_log_of_synapse_is_shown(tmp_path: Path) -> None:
    """It is shown as soon as Synapse exits, not only after the time that it may take to start."""
    name, certificate = "no server name", Authority(tmp_path).issue(["example.test"])
    with pytest.raises(NotStartedError, match=name), synapse(tmp_path, name, certificate):
        pass
