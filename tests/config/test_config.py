"""The configuration file: what a valid one means, and which complaints an invalid one gets."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from exporter import config
from exporter.config import (
    AddressScope,
    Config,
    ConfigError,
    DormantSettings,
    Group,
    HostPort,
    ListSettings,
    MetricsSettings,
    NetworkSettings,
    OutboundNames,
    OutboundSettings,
    OutboundTls,
    ProbeSettings,
    ProxySettings,
    ProxyUrl,
    ServerUrl,
    SynapseDestinations,
    WebSettings,
    files,
)
from exporter.config.groups import ExpectSettings, GroupSettings, ServerSettings
from exporter.config.settings import Settings, StorageSettings
from exporter.model import names
from exporter.model.addresses import Target
from exporter.model.servers import NOTHING_EXPECTED, Cadence, Expectations, ExpectedSoftware, WatchedServer
from exporter.model.signing_keys import PinnedKey, encode_base64

Write: TypeAlias = Callable[[str], Path]

KEY = encode_base64(bytes(32))

INVALID_FILES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
SECTIONS = {
    "": Settings,
    "servers[0].": ServerSettings,
    "servers[0].expect.": ExpectSettings,
    "server_urls[0].": ServerUrl,
    "synapse_destinations[0].": SynapseDestinations,
    "groups[0].": GroupSettings,
    "lists.": ListSettings,
    "probe.": ProbeSettings,
    "probe.dormant.": DormantSettings,
    "network.": NetworkSettings,
    "network.proxy.": ProxySettings,
    "metrics.": MetricsSettings,
    "web.": WebSettings,
    "storage.": StorageSettings,
    "outbound.": OutboundSettings,
    "outbound.tls.": OutboundTls,
    "outbound.by_family.": OutboundNames,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a configuration file and returns its path."""

    def write_config(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_config


def complaints_about(path: Path) -> str:
    """Return all complaints about a file, without its name."""
    with pytest.raises(ConfigError) as raised:
        config.load(path)
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return "\n".join(line.removeprefix(f"{path}:").strip() for line in lines)


def certificate() -> bytes:
    """Return a self-signed certificate in PEM format."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A private federation")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().issuer_name(name).subject_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, None).public_bytes(Encoding.PEM)


# ---------------------------------------------------------------- valid files


def test_every_key_becomes_a_typed_value(write: Write, tmp_path: Path) -> None:
    """Durations become seconds, paths become relative to the folder, and keys of connect_to become canonical."""
    (tmp_path / "ca.pem").write_bytes(certificate())
    (tmp_path / "token").write_text("syt_secret\n")
    path = write("""
servers:
  - matrix.org
  - "[2001:db8::1]:8448"
  - server_name: example.org
    interval: 1m30s
    expect: {delegation: matrix.example.org:443}
server_files: [servers.d/*.yaml, /etc/servers.json]
server_urls:
  - http://[::1]:8080/servers.json?tag=matrix
  - url: https://inventory.example.org/matrix
    refresh_interval: 1m
    token_file: token
    headers: {X-Scope: "5 6"}
    ca_file: ca.pem
synapse_destinations:
  - url: https://matrix.example.org/prefix/
    token_file: token
    refresh_interval: 1d
    failing_at_most: 7d
    ca_file: ca.pem
    labels: {}
groups:
  - name: ours
    labels: {team: chat, env: ""}
    servers: [a.example, {server_name: b.example, interval: 2m, expect: {software: Dendrite 0.14}}]
    server_files: [ours.yaml]
    server_urls: [https://inventory.example.org/ours]
    synapse_destinations: [{url: "https://chat.example.org", token_file: token}]
    interval: 1m
    timeout: 5s
    network: {resolvers: [10.0.0.53], allow_ports: [], ca_file: null}
    expect:
      signing_keys: [ed25519:a_1, "ed25519:b AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
      software: Synapse
      issuer: Let's Encrypt
      addresses: [192.0.2.1, "2001:db8::/32"]
  - {name: others, server_files: [others.yaml], network: {address_policy: any}}
lists: {max_servers: 1000}
probe:
  interval: 10m
  timeout: 500ms
  concurrency: 10
  deep_interval: 1d
  confirm_after: 1m
  dormant: {after: 1d, interval: 2h}
network:
  resolvers: [192.0.2.53, 192.0.2.53:5353, "2001:db8::53", "[2001:db8:0::53]:5353", "[2001:db8::54]"]
  ca_file: ca.pem
  address_policy: any
  allow_networks: [10.0.0.0/8, "fd00::/8"]
  allow_ports: [6697, 25]
  connect_to:
    Example.ORG:443: 127.0.0.1:10443
    192.0.2.1:8448: "[::1]:10448"
    "[2001:DB8:0::1]:8448": 127.0.0.1:10449
metrics: {disabled: [matrix_federation_stage_duration_seconds]}
web: {listen: [localhost:0, "[::]:10448"], probe_any: true}
""")
    cadence = Cadence(60.0, dormant_after=86400.0, dormant_interval=7200.0)
    default = Group(
        servers=(
            WatchedServer(names.parse("matrix.org"), 600.0, NOTHING_EXPECTED, cadence),
            WatchedServer(names.parse("[2001:db8::1]:8448"), 600.0, NOTHING_EXPECTED, cadence),
            WatchedServer(names.parse("example.org"), 90.0, Expectations(Target("matrix.example.org", 443)), cadence),
        ),
        server_files=(f"{tmp_path}/servers.d/*.yaml", "/etc/servers.json"),
        server_urls=(
            ServerUrl("http://[::1]:8080/servers.json?tag=matrix", 300.0),
            ServerUrl(
                "https://inventory.example.org/matrix",
                refresh_interval=60.0,
                token_file=tmp_path / "token",
                headers={"X-Scope": "5 6"},
                ca_file=tmp_path / "ca.pem",
            ),
        ),
        synapse_destinations=(
            SynapseDestinations(
                "https://matrix.example.org/prefix",
                tmp_path / "token",
                refresh_interval=86400.0,
                failing_at_most=604800.0,
                ca_file=tmp_path / "ca.pem",
                labels={},
            ),
        ),
        interval=600.0,
        cadence=cadence,
    )
    expected_of_group = Expectations(
        signing_keys=(PinnedKey("ed25519:a_1"), PinnedKey("ed25519:b", KEY)),
        software=ExpectedSoftware("Synapse"),
        issuer="Let's Encrypt",
        addresses=(ip_network("192.0.2.1/32"), ip_network("2001:db8::/32")),
    )
    expected_of_b = replace(expected_of_group, software=ExpectedSoftware("Dendrite", "0.14"))
    network = NetworkSettings(
        resolvers=(
            HostPort("192.0.2.53", 53),
            HostPort("192.0.2.53", 5353),
            HostPort("2001:db8::53", 53),
            HostPort("2001:db8::53", 5353),
            HostPort("2001:db8::54", 53),
        ),
        ca_file=tmp_path / "ca.pem",
        address_policy=AddressScope.ANY,
        allow_networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        allow_ports=(6697, 25),
        connect_to={
            "example.org:443": HostPort("127.0.0.1", 10443),
            "192.0.2.1:8448": HostPort("::1", 10448),
            "[2001:db8::1]:8448": HostPort("127.0.0.1", 10449),
        },
    )
    ours = Group(
        "ours",
        {"team": "chat", "env": ""},
        servers=(
            WatchedServer(names.parse("a.example"), 60.0, expected_of_group, cadence, (("team", "chat"),), "ours"),
            WatchedServer(names.parse("b.example"), 120.0, expected_of_b, cadence, (("team", "chat"),), "ours"),
        ),
        server_files=(f"{tmp_path}/ours.yaml",),
        server_urls=(ServerUrl("https://inventory.example.org/ours"),),
        synapse_destinations=(SynapseDestinations("https://chat.example.org", tmp_path / "token"),),
        interval=60.0,
        cadence=cadence,
        expected=expected_of_group,
        timeout=5.0,
        network=replace(network, resolvers=(HostPort("10.0.0.53", 53),), allow_ports=(), ca_file=None),
    )
    others = Group("others", server_files=(f"{tmp_path}/others.yaml",), interval=600.0, cadence=cadence)
    assert config.load(path) == Config(
        groups=(default, ours, others),
        lists=ListSettings(max_servers=1000),
        probe=ProbeSettings(600.0, 0.5, 10, 86400.0, 60.0, DormantSettings(after=86400.0, interval=7200.0)),
        network=network,
        metrics=MetricsSettings(disabled=("matrix_federation_stage_duration_seconds",)),
        web=WebSettings(listen=(HostPort("localhost", 0), HostPort("::", 10448)), probe_any=True),
    )


def test_a_network_of_a_group_has_the_keys_of_the_top_level_that_it_does_not_override(write: Write) -> None:
    """Groups with the same network share it, and it has the name of the first of them."""
    loaded = config.load(
        write("""
groups:
  - {name: same, servers: [a.example], network: {allow_networks: [10.0.0.0/8]}}
  - {name: plant, servers: [b.example], network: {resolvers: [10.1.0.53]}}
  - {name: open, servers: [c.example], network: {resolvers: [], allow_networks: []}}
  - {name: office, servers: [d.example], network: {resolvers: [10.1.0.53]}, timeout: 10s}
network: {resolvers: [10.0.0.53], allow_networks: [10.0.0.0/8]}
""")
    )
    default, same, plant, open_, office = loaded.groups
    assert loaded.networks() == {
        "default": "default",
        "same": "default",
        "plant": "plant",
        "open": "open",
        "office": "plant",
    }
    assert (same.network, loaded.network_of(same)) == (None, loaded.network)
    assert plant.network == office.network == replace(loaded.network, resolvers=(HostPort("10.1.0.53", 53),))
    assert open_.network == NetworkSettings()
    assert [loaded.timeout_of(group) for group in (default, same, office)] == [30.0, 30.0, 10.0]


def test_only_the_servers_are_required(write: Write) -> None:
    """Every other key has a default."""
    assert config.load(write("servers: [example.org]")) == Config(
        groups=(Group(servers=(WatchedServer(names.parse("example.org"), 300.0),)),),
        lists=ListSettings(max_servers=50_000),
        probe=ProbeSettings(interval=300.0, timeout=30.0, concurrency=200, deep_interval=3600.0),
        network=NetworkSettings(
            resolvers=(),
            ca_file=None,
            address_policy=AddressScope.PUBLIC,
            allow_networks=(),
            allow_ports=(),
            connect_to={},
        ),
        web=WebSettings(listen=(HostPort("127.0.0.1", 10448),), probe_any=False),
    )


def test_no_server_is_dormant_where_that_is_null(write: Write) -> None:
    """What was configured before there were dormant servers is valid, too: an interval of more than an hour."""
    path = write("servers: [example.org]\nprobe: {interval: 2h, dormant: null}")
    (server,) = config.load(path).servers
    assert (server.interval, server.cadence) == (7200.0, Cadence(dormant_after=math.inf))
    assert config.load(write("servers: [example.org]\nprobe: {interval: 2h, timeout: 1s}")).probe.interval == 7200.0


def test_server_files_can_replace_servers(write: Write) -> None:
    """`servers` may be empty, because the files may contain servers later."""
    assert config.load(write("servers: []\nserver_files: [/etc/servers.json]")) == Config(
        groups=(Group(server_files=("/etc/servers.json",)),)
    )


def test_synapse_destinations_can_replace_servers(write: Write, tmp_path: Path) -> None:
    """`servers` may be missing if a server list is configured."""
    (tmp_path / "token").write_text("syt_secret")
    path = write("synapse_destinations: [{url: 'http://127.0.0.1:8008', token_file: token}]")
    synapse = SynapseDestinations("http://127.0.0.1:8008", tmp_path / "token", 3600.0, None, None, {"role": "peer"})
    assert config.load(path) == Config(groups=(Group(synapse_destinations=(synapse,)),))


def test_repr_does_not_contain_the_values_of_headers() -> None:
    """Headers contain API keys, and a traceback may end up anywhere."""
    assert "hunter2" not in repr(ServerUrl("https://example.org/", headers={"X-Key": "hunter2"}))


def test_the_folder_of_the_file_is_escaped_in_a_pattern(tmp_path: Path) -> None:
    """A folder may have a name that looks like a pattern."""
    folder = tmp_path / "[old]"
    folder.mkdir()
    path = folder / "config.yaml"
    path.write_text("server_files: ['*.json']", encoding="utf-8")
    assert config.load(path).server_files == (f"{tmp_path}/[[]old]/*.json",)


def test_a_null_ca_file_is_the_default_trust_store(write: Write) -> None:
    """Null may be spelled out or left empty."""
    for written in ("null", "~", ""):
        assert (
            config.load(write(f"servers: [example.org]\nnetwork:\n  ca_file: {written}")).network == NetworkSettings()
        )


def test_a_byte_order_mark_is_ignored(write: Write) -> None:
    """Some editors write one at the start of every file."""
    assert config.load(write("\ufeffservers: [example.org]")) == config.load(write("servers: [example.org]"))


def test_twenty_thousand_servers_are_loaded(write: Write) -> None:
    """Loading takes about a second; a quadratic step would exceed the time limit of the tests."""
    path = write("servers:\n" + "".join(f"  - s{n}.example.org\n" for n in range(20_000)))
    assert [str(server.server_name) for server in config.load(path).servers] == [
        f"s{n}.example.org" for n in range(20_000)
    ]


# ---------------------------------------------------------------- invalid files


@pytest.mark.parametrize("path", INVALID_FILES, ids=lambda path: path.stem)
def test_an_invalid_file_gets_the_complaints_in_its_comments(path: Path) -> None:
    """The comments at the start of a file in `cases` are all its complaints, with line, key path and sentence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    assert complaints_about(path) == "\n".join(expected)


@pytest.mark.parametrize("key", [section + field.name for section, keys in SECTIONS.items() for field in fields(keys)])
def test_every_key_has_an_invalid_file(key: str) -> None:
    """Otherwise nobody has read the complaints about that key."""
    heads = [path.read_text(encoding="utf-8").splitlines()[0] for path in INVALID_FILES]
    short = "servers[0]" if key == "servers[0].server_name" else key
    assert any(head.split(": ")[1].startswith((key, short)) for head in heads)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_suggests_the_right_key(section: str, write: Write) -> None:
    """A key with an extra letter gets a complaint that suggests the right key."""
    above = {
        "": "",
        "servers[0].": "servers:\n- ",
        "servers[0].expect.": "servers:\n- expect:\n    ",
        "server_urls[0].": "server_urls:\n- ",
        "synapse_destinations[0].": "synapse_destinations:\n- ",
        "network.proxy.": "network:\n  proxy:\n    ",
        "probe.dormant.": "probe:\n  dormant:\n    ",
        "groups[0].": "groups:\n- ",
        "outbound.tls.": "outbound:\n  tls:\n    ",
        "outbound.by_family.": "outbound:\n  by_family:\n    ",
    }
    head = above.get(section, section.replace(".", ":\n  "))
    assert fields(SECTIONS[section])
    for field in fields(SECTIONS[section]):
        complaints = complaints_about(write(f"{head}{field.name}x: 1"))
        assert f"unknown key `{field.name}x`, did you mean `{field.name}`?" in complaints


@pytest.mark.parametrize(
    ("written", "settings"),
    [
        ("null", None),
        ("http://proxy.example.org:3128", ProxySettings(ProxyUrl("proxy.example.org", 3128))),
        ('{url: "HTTP://[2001:db8::1]:8080/"}', ProxySettings(ProxyUrl("2001:db8::1", 8080))),
    ],
)
def test_a_proxy_is_a_url_or_a_mapping(write: Write, written: str, settings: ProxySettings | None) -> None:
    """Its credentials are in a file."""
    assert config.load(write(f"servers: [example.org]\nnetwork: {{proxy: {written}}}")).network.proxy == settings


@pytest.mark.parametrize("content", ["user:secret", "user:secret\n", "üser:a b:c\r\n"])
def test_credentials_are_one_line(content: str, write: Write, tmp_path: Path) -> None:
    """The user, a colon, and the password, which may contain colons and blanks."""
    (tmp_path / "credentials").write_bytes(content.encode())
    path = write("servers: [a]\nnetwork: {proxy: {url: 'http://a:1', credentials_file: credentials}}")
    settings = config.load(path).network.proxy
    assert settings
    assert settings.credentials_file == tmp_path / "credentials"
    assert files.read_credentials(settings.credentials_file) == content.strip()


@pytest.mark.parametrize("content", [b"user", b":secret", b"user:a\nuser:b", b"user:\xff", b"user:a\tb"])
def test_anything_else_is_no_credentials(content: bytes, write: Write, tmp_path: Path) -> None:
    """The complaint shows nothing of the file."""
    (tmp_path / "credentials").write_bytes(content)
    path = write("servers: [a]\nnetwork: {proxy: {url: 'http://a:1', credentials_file: credentials}}")
    assert complaints_about(path) == (
        "2: network.proxy.credentials_file: cannot use this file: expected one line with a user, a colon and a password"
        " in UTF-8, found something else"
    )


def test_a_ca_file_must_contain_certificates(write: Write, tmp_path: Path) -> None:
    """The file is invalid if OpenSSL cannot load it."""
    broken = certificate().replace(b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\nAAAA")
    for content in (b"", b"no certificate\n", certificate()[:100], broken):
        (tmp_path / "ca.pem").write_bytes(content)
        path = write("servers: [example.org]\nnetwork: {ca_file: ca.pem}")
        assert complaints_about(path) == (
            f"2: network.ca_file: cannot use {tmp_path}/ca.pem: expected PEM certificates, found none or an invalid one"
        )


def test_the_error_has_the_complaints_as_objects(write: Write) -> None:
    """Each complaint has the file, the line, the key path and the sentence."""
    path = write("servers: [example.org]\nprobe: {interval: 5}")
    with pytest.raises(ConfigError) as raised:
        config.load(str(path))
    sentence = "expected a duration such as 90s, 5m or 1h30m, found the number 5: add a unit, as in 5s"
    assert raised.value.complaints == (config.Complaint(str(path), 2, "probe.interval", sentence),)
