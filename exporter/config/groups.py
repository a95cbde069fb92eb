"""The declaration of what a group of servers consists of, which is also what the top level of the file has."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, with_config

from exporter.config import value_types
from exporter.config.addresses import HostPort, ProxyUrl
from exporter.config.value_types import AddressScope
from exporter.model.addresses import IPNetwork, Target
from exporter.model.enums import IPFamily
from exporter.model.names import ServerName
from exporter.model.servers import MAX_LABELS, ExpectedSoftware
from exporter.model.signing_keys import PinnedKey

Name: TypeAlias = Annotated[ServerName, value_types.SERVER_NAME]
Url: TypeAlias = Annotated[str, value_types.URL]
LabelSettings: TypeAlias = Annotated[
    dict[Annotated[str, value_types.LABEL_NAME], Annotated[str, value_types.LABEL_VALUE]], Field(max_length=MAX_LABELS)
]

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ExpectSettings:
    """What is expected of a server. The exporter reports whatever differs, even if federation works."""

    delegation: Annotated[Target | None, value_types.TARGET] = None
    """The only target that the delegation may have, as host:port."""
    signing_keys: Annotated[
        tuple[Annotated[PinnedKey, value_types.PINNED_KEY], ...], Field(max_length=value_types.MAX_EXPECTED)
    ] = ()
    """The only signing keys that may be valid: key IDs, each with or without the key in base64."""
    software: Annotated[ExpectedSoftware | None, value_types.SOFTWARE] = None
    """The name of the homeserver in any case, with or without the beginning of its version, such as Synapse 1.163."""
    issuer: Annotated[str | None, value_types.ISSUER] = None
    """The common name or the organization of the authority that issued the certificates of the endpoints."""
    addresses: Annotated[
        tuple[Annotated[IPNetwork, value_types.ADDRESS_OR_NETWORK], ...], Field(max_length=value_types.MAX_EXPECTED)
    ] = ()
    """The addresses and networks that all endpoints must be in."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ServerSettings:
    """A server to watch, with its own settings."""

    server_name: Name
    """The Matrix server name, as in user IDs."""
    interval: Annotated[float | None, value_types.DURATION] = None
    """How often this server is probed. Overrides probe.interval, and the interval of its group."""
    expect: ExpectSettings = field(default_factory=ExpectSettings)
    """What is expected of this server. Each key overrides that of its group."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A URL that returns server names, in Prometheus's http_sd format."""

    url: Url
    """The URL of the list; http or https. It is shown in the log and on /metrics."""
    refresh_interval: Annotated[float, value_types.DURATION] = 300.0
    """How often the exporter fetches the list."""
    token_file: Annotated[Path | None, value_types.TOKEN_FILE] = None
    """File with a bearer token, which is read before every request. The path is relative to the configuration file."""
    headers: Annotated[dict[str, str], value_types.HEADERS] = field(default_factory=dict, repr=False)
    """Additional request headers. Their values are never shown."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store, for this URL only. The path is relative to the configuration
    file."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SynapseDestinations:
    """The servers that a Synapse federates with, from its admin API."""

    url: Annotated[str, value_types.BASE_URL]
    """The base URL of the admin API, without /_synapse/admin; http or https."""
    token_file: Annotated[Path, value_types.TOKEN_FILE]
    """File with the access token of an administrator, which is read before every request. The path is relative to the
    configuration file."""
    refresh_interval: Annotated[float, value_types.DURATION] = 3600.0
    """How often the exporter fetches the list."""
    failing_at_most: Annotated[float | None, value_types.DURATION] = None
    """Excludes the servers that Synapse has failed to reach for longer than this. By default, no server is excluded."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store, for this URL only. The path is relative to the configuration
    file."""
    labels: LabelSettings = field(default_factory=lambda: {"role": "peer"})
    """Labels of the servers. The default tells them from your own servers, for which the alerts page somebody."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The HTTP proxy through which probes connect, where the network lets nothing else out."""

    url: Annotated[ProxyUrl, value_types.PROXY_URL]
    """The URL of the proxy, with its port; http only."""
    credentials_file: Annotated[Path | None, value_types.CREDENTIALS_FILE] = None
    """File with one line, user:password, for a proxy that demands Basic authentication. It is read when the exporter
    loads its configuration. The path is relative to the configuration file."""


def _expand_proxy(written: object) -> object:
    """Expand a plain URL, which is short for a mapping with only that URL; null is None."""
    if isinstance(written, dict) or (written := value_types.none_if_null(written)) is None:
        return written
    return ProxySettings(value_types.PROXY_URL(written))


_ProxyOrNone: TypeAlias = Annotated[
    ProxySettings | None,
    BeforeValidator(_expand_proxy, json_schema_input_type=Annotated[str, value_types.PROXY_URL] | ProxySettings | None),
]


def _expand_server(written: object) -> object:
    """Expand a plain server name, which is short for a mapping with only that name."""
    return written if isinstance(written, dict) else ServerSettings(value_types.SERVER_NAME(written))


def _expand_server_url(written: object) -> object:
    """Expand a plain URL, which is short for a mapping with only that URL."""
    return written if isinstance(written, dict) else ServerUrl(value_types.URL(written))


Servers: TypeAlias = tuple[
    Annotated[ServerSettings, BeforeValidator(_expand_server, json_schema_input_type=Name | ServerSettings)], ...
]
ServerFiles: TypeAlias = tuple[Annotated[str, value_types.GLOB], ...]
ServerUrls: TypeAlias = tuple[
    Annotated[ServerUrl, BeforeValidator(_expand_server_url, json_schema_input_type=Url | ServerUrl)], ...
]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the exporter connects to the servers."""

    resolvers: tuple[Annotated[HostPort, value_types.RESOLVER], ...] = ()
    """The DNS servers to use. If the list is empty, the exporter uses those of the system."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store. The path is relative to the configuration file."""
    ip_families: tuple[Annotated[IPFamily, value_types.IP_FAMILY], ...] = ()
    """The IP families to probe over, ipv4 or ipv6 or both. If the list is empty, the routes of the machine decide."""
    address_policy: Annotated[AddressScope, value_types.ADDRESS_SCOPE] = AddressScope.PUBLIC
    """public: refuse private, loopback, link-local and other special-purpose addresses, and the ports that browsers
    block, such as 25, on every connection. any: allow all addresses and ports."""
    allow_networks: tuple[Annotated[IPNetwork, value_types.NETWORK], ...] = ()
    """Networks that are allowed although the policy is public."""
    allow_ports: tuple[Annotated[int, value_types.PORT], ...] = ()
    """Ports that are allowed although browsers block them and the policy is public."""
    connect_to: dict[Annotated[str, value_types.DESTINATION], Annotated[HostPort, value_types.ADDRESS]] = field(
        default_factory=dict
    )
    """Connects to a different address, like curl --connect-to. Keys are host:port or ip:port, values are ip:port."""
    proxy: _ProxyOrNone = None
    """HTTP proxy through which every connection of a probe is made: a plain URL, or a mapping with a URL and the file
    of its credentials. The exporter still resolves names itself. null: connect directly."""
    notaries: Annotated[tuple[Name, ...], Field(max_length=value_types.MAX_NOTARIES)] = ()
    """Homeservers that every deep look asks whether they see the same signing keys. By default, it asks none."""
    connectivity_check: Annotated[
        tuple[Annotated[Target, value_types.TARGET], ...], Field(max_length=value_types.MAX_ANCHORS)
    ] = ()
    """Addresses, as host:port, at least one of which accepts connections whenever the exporter's own network is up. If
    the list is empty, the exporter uses the watched servers, provided that at least three of them were healthy."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class GroupSettings:
    """Servers that belong together. The lists at the top level are the group `default`."""

    name: Annotated[str, value_types.GROUP_NAME]
    """The name of the group, on the pages and in the API."""
    labels: LabelSettings = field(default_factory=dict)
    """Labels of all series of the servers. They override the labels of the lists; an empty one removes a label."""
    servers: Servers = ()
    """The servers of the group: server names, or mappings with a server name and its settings."""
    server_files: ServerFiles = ()
    """Files with more servers of the group, in Prometheus's file_sd format. The labels in them are kept."""
    server_urls: ServerUrls = ()
    """URLs that return more servers of the group, in Prometheus's http_sd format. The labels in them are kept."""
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    """Synapse homeservers. All servers that they federate with are in the group."""
    interval: Annotated[float | None, value_types.DURATION] = None
    """How often each server of the group is probed. Overrides probe.interval."""
    timeout: Annotated[float | None, value_types.DURATION] = None
    """How long a whole probe of one of the servers may take. Overrides probe.timeout."""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    """How the exporter connects to the servers of the group. Each key that is there overrides that of the top level."""
    expect: ExpectSettings = field(default_factory=ExpectSettings)
    """What is expected of every server of the group."""
