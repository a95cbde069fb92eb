"""config.example.yaml and docs/config.schema.json agree with the code."""

import json
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from docs.config_schema import schema
from exporter import config
from exporter.config import Config, Group
from exporter.config.groups import (
    ExpectSettings,
    GroupSettings,
    NetworkSettings,
    ServerSettings,
    ServerUrl,
    SynapseDestinations,
)
from exporter.config.settings import (
    DormantSettings,
    ListSettings,
    MetricsSettings,
    OutboundNames,
    OutboundSettings,
    OutboundTls,
    ProbeSettings,
    Settings,
    StorageSettings,
    WebSettings,
)
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.servers import Expectations, WatchedServer

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"
SCHEMA = json.loads((ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8"))


def keys(section: type[Any]) -> list[str]:
    return [field.name for field in fields(section)]


def test_the_example_shows_the_defaults() -> None:
    """Apart from the servers, it has the same meaning as an empty file."""
    servers = (
        WatchedServer(names.parse("matrix.org"), 300.0),
        WatchedServer(names.parse("example.org"), 60.0, Expectations(Target("matrix.example.org", 443))),
    )
    assert config.load(EXAMPLE) == Config(groups=(Group(servers=servers),))


def test_the_example_contains_every_key_in_the_order_of_the_code() -> None:
    """Otherwise nobody would find the missing key."""
    written = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    server = written["servers"][1]
    assert [list(each) for each in (written, server, server["expect"])] == [
        keys(Settings),
        keys(ServerSettings),
        keys(ExpectSettings),
    ]
    assert list(written["probe"]["dormant"]) == keys(DormantSettings)
    assert [list(written[name]) for name in ("lists", "probe", "network", "metrics", "web", "storage")] == [
        keys(ListSettings),
        keys(ProbeSettings),
        keys(NetworkSettings),
        keys(MetricsSettings),
        keys(WebSettings),
        keys(StorageSettings),
    ]


def test_the_example_explains_every_key() -> None:
    """There is a comment above every key of a section."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for section in (ListSettings, ProbeSettings, NetworkSettings, MetricsSettings, WebSettings, StorageSettings):
        assert keys(section)
        for key in keys(section):
            above = next(before for before, line in pairwise(lines) if line.startswith(f"  {key}:"))
            assert above.startswith("  # "), key


def test_the_example_contains_every_key_of_the_server_lists() -> None:
    """They are commented out, because a missing token file would make the example invalid."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for section, declaration in (
        ("server_urls", ServerUrl),
        ("synapse_destinations", SynapseDestinations),
        ("groups", GroupSettings),
    ):
        after = text.partition(f"\n# {section}:\n")[2].partition("\n\n")[0]
        lines = [line.removeprefix("# ") for line in after.splitlines() if line.startswith("#   ")]
        (written,) = yaml.safe_load("\n".join(lines))
        assert list(written) == keys(declaration)
        Draft202012Validator(SCHEMA).validate({section: [written]})


def test_the_example_contains_every_key_of_the_other_direction() -> None:
    """It is commented out, because a missing key file would make the example invalid."""
    after = EXAMPLE.read_text(encoding="utf-8").partition("\n# outbound:\n")[2].partition("\n\n")[0]
    lines = [line.removeprefix("# ") for line in after.splitlines()]
    written = yaml.safe_load("\n".join(lines))
    assert list(written) == keys(OutboundSettings)
    assert list(written["tls"]) == keys(OutboundTls)
    assert list(written["by_family"]) == keys(OutboundNames)
    assert written["interval"] == "15m"
    Draft202012Validator(SCHEMA).validate({"outbound": written})


def test_the_schema_is_what_the_code_generates() -> None:
    """`python -m docs.generate` updates the file."""
    assert (ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8") == schema()


def test_the_schema_is_a_schema_and_accepts_the_example() -> None:
    """An editor shows no error in the example."""
    assert list(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(SCHEMA)) == []
    assert list(Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("servers: example.org", "servers: 'example.org' is not of type 'array'"),
        ("servers: [{interval: 1m}]", "servers.0: 'server_name' is a required property"),
        ("servers: [{server_name: a, interval: 60}]", "servers.0.interval: 60 is not of type 'string'"),
        ("probe: {timeout: 5x}", "probe.timeout: '5x' does not match"),
        ("probe: {timeout: ''}", "probe.timeout: '' should be non-empty"),
        ("probe: {concurrency: 0}", "probe.concurrency: 0 is less than the minimum of 1"),
        ("probe: {concurrency: '5'}", "probe.concurrency: '5' is not of type 'integer'"),
        ("probe: {intervall: 5m}", "probe: Additional properties are not allowed ('intervall' was unexpected)"),
        ("network: {address_policy: all}", "network.address_policy: 'all' is not one of ['public', 'any']"),
        ("network: {allow_ports: [0]}", "network.allow_ports.0: 0 is less than the minimum of 1"),
        ("network: {resolvers: [53]}", "network.resolvers.0: 53 is not of type 'string'"),
        ("network: {ca_file: 5}", "network.ca_file: 5 is not of type 'string', 'null'"),
        ("network: {connect_to: {'a:1': 2}}", "network.connect_to.a:1: 2 is not of type 'string'"),
        ("network: {notaries: [a, b, c, d]}", "network.notaries: ['a', 'b', 'c', 'd'] is too long"),
        ("web: {probe_any: 'true'}", "web.probe_any: 'true' is not of type 'boolean'"),
        ("server_urls: [{}]", "server_urls.0: 'url' is a required property"),
        ("server_urls: [{url: a, headers: [b]}]", "server_urls.0.headers: ['b'] is not of type 'object'"),
        ("synapse_destinations: [{url: a}]", "synapse_destinations.0: 'token_file' is a required property"),
        ("web:", "web: None is not of type 'object'"),
    ],
)
def test_the_schema_refuses_what_the_code_refuses(written: str, complaint: str) -> None:
    """An editor shows the error while the file is being edited."""
    error = best_match(Draft202012Validator(SCHEMA).iter_errors(yaml.safe_load(written)))
    assert error is not None
    path = ".".join(map(str, error.absolute_path))
    assert f"{path}: {error.message}".startswith(complaint)


def test_the_schema_shows_the_defaults_as_they_are_written() -> None:
    """Durations are strings, addresses have ports, and keys that do not accept null have no default null."""
    sections = SCHEMA["$defs"]
    assert {
        f"{section}.{key}": value["default"]
        for section, written in sections.items()
        for key, value in written["properties"].items()
        if "default" in value
    } == {
        "GroupSettings.servers": [],
        "GroupSettings.server_files": [],
        "GroupSettings.server_urls": [],
        "GroupSettings.synapse_destinations": [],
        "ListSettings.max_servers": 50_000,
        "ExpectSettings.signing_keys": [],
        "ExpectSettings.addresses": [],
        "ProbeSettings.interval": "5m",
        "ProbeSettings.timeout": "30s",
        "ProbeSettings.concurrency": 200,
        "ProbeSettings.deep_interval": "1h",
        "ProbeSettings.confirm_after": "30s",
        "DormantSettings.after": "1w",
        "DormantSettings.interval": "1h",
        "NetworkSettings.resolvers": [],
        "NetworkSettings.ip_families": [],
        "NetworkSettings.address_policy": "public",
        "NetworkSettings.allow_networks": [],
        "NetworkSettings.allow_ports": [],
        "NetworkSettings.notaries": [],
        "NetworkSettings.connectivity_check": [],
        "MetricsSettings.disabled": [],
        "StorageSettings.retention": "90d",
        "ServerUrl.refresh_interval": "5m",
        "SynapseDestinations.refresh_interval": "1h",
        "OutboundSettings.listen": ["0.0.0.0:8448"],
        "OutboundSettings.interval": "15m",
        "WebSettings.listen": ["127.0.0.1:10448"],
        "WebSettings.probe_any": False,
    }
