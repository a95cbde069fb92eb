"""The configuration in effect as YAML."""

from pathlib import Path

import pytest

from exporter.config import Config, dump, load
from exporter.outbound.signing import generate_seed

EVERYTHING = """
servers:
  - example.org
  - {server_name: "[2001:db8::1]:8448", interval: 90s, expect: {delegation: "matrix.example.org:443", software: A 1.1}}
server_files: [servers.d/*.yaml]
server_urls:
  - {url: "https://example.org/servers.json", refresh_interval: 1h30m, headers: {X-API-Key: hunter2}}
synapse_destinations:
  - {url: "https://matrix.example.org", token_file: token, failing_at_most: 7d}
groups:
  - name: ours
    labels: {team: chat, env: ""}
    servers: [a.example, {server_name: b.example, interval: 7m}]
    server_urls: [{url: "https://example.org/ours.json", headers: {X-API-Key: hunter2}}]
    interval: 1m
    expect: {signing_keys: ["ed25519:a_1"], issuer: Let's Encrypt, addresses: [192.0.2.1, 2001:db8::/32]}
  - {name: others, server_files: [others.yaml], interval: 2m, timeout: 1s}
  - name: closed
    servers: [c.example]
    network: {resolvers: [], ip_families: [ipv6], address_policy: public, connect_to: {}, notaries: [c.example]}
lists: {max_servers: 10}
probe: {interval: 2m, timeout: 500ms, concurrency: 7, confirm_after: 1m, dormant: null}
metrics: {disabled: [matrix_federation_signing_keys]}
network:
  resolvers: ["192.0.2.53", "[2001:db8::53]:5353"]
  ip_families: [ipv4]
  address_policy: any
  allow_networks: [10.0.0.0/8]
  allow_ports: [25]
  connect_to: {"example.org:443": "127.0.0.1:10443"}
  proxy: {url: "http://proxy.example.org:3128", credentials_file: proxy.credentials}
  notaries: [matrix.org]
  connectivity_check: ["example.net:443"]
web: {listen: [":10448", "unix:/run/web.sock"], probe_any: true}
storage: {path: history.sqlite, retention: 30d}
outbound: {server_name: probe.example.org, signing_key_file: signing.key, listen: ["0.0.0.0:8448"]}
"""


@pytest.fixture
def everything(tmp_path: Path) -> Config:
    """A configuration with every key."""
    (tmp_path / "token").write_text("token")
    (tmp_path / "proxy.credentials").write_text("user:hunter2")
    (tmp_path / "signing.key").write_text(str(generate_seed()))
    (tmp_path / "signing.key").chmod(0o600)
    (tmp_path / "config.yaml").write_text(EVERYTHING)
    return load(tmp_path / "config.yaml")


def loaded(folder: Path, config: Config) -> Config:
    (folder / "dumped.yaml").write_text("".join(dump(config)))
    return load(folder / "dumped.yaml")


def test_what_is_written_is_the_same_configuration(tmp_path: Path, everything: Config) -> None:
    """Only the values of headers differ, which are secrets."""
    text = "".join(dump(everything))
    assert "hunter2" not in text
    assert "X-API-Key: <secret>" in text
    again = loaded(tmp_path, everything)
    assert [url.headers for url in again.server_urls] == [{"X-API-Key": "<secret>"}] * 2
    for url in everything.server_urls:
        url.headers["X-API-Key"] = "<secret>"
    assert again == everything


def test_a_configuration_with_only_servers_is_written_with_its_defaults(tmp_path: Path) -> None:
    """There are more servers than one piece has."""
    (tmp_path / "config.yaml").write_text(f"servers: [{', '.join(f's{number}.test' for number in range(1200))}]")
    config = load(tmp_path / "config.yaml")
    assert len(list(dump(config))) == 5
    assert loaded(tmp_path, config) == config


def test_no_servers_are_an_empty_list() -> None:
    assert "".join(dump(Config())).endswith("servers: []\n")
