"""Certificate authorities for the web configuration."""

from pathlib import Path

import pytest

from exporter.demo.authority import Authority, Hierarchy
from tests.web import pems


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority of the exporter's certificate; its root is in `ca.pem`."""
    made = Authority(tmp_path)
    pems.write_server(tmp_path, made)
    return made


@pytest.fixture
def clients(tmp_path: Path) -> Hierarchy:
    """The authority of the client certificates that the exporter accepts; its root is in `clients.pem`."""
    made = Hierarchy("Clients")
    (tmp_path / "clients.pem").write_bytes(pems.chain_pem(made.root))
    return made
