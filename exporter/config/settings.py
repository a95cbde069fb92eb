"""What the file may say: one declaration for each key, from which pydantic checks it and documents it.

Made by hand, these are plain frozen dataclasses of typed values, and nothing is checked. Durations are seconds.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, with_config

from exporter.config import value_types
from exporter.config.addresses import HostPort, IPNetwork
from exporter.config.value_types import AddressScope
from exporter.model.addresses import Target
from exporter.model.names import ServerName
from exporter.model.servers import WatchedServer

Name: TypeAlias = Annotated[ServerName, value_types.SERVER_NAME]
Url: TypeAlias = Annotated[str, value_types.URL]
DEFAULT_LISTEN = HostPort("127.0.0.1", 10448)  # /metrics names every watched server: to be opened on purpose

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ExpectSettings:
    """Optional assertions about a server."""

    delegation: Annotated[Target | None, value_types.TARGET] = None
    """The target that the delegation must lead to, as host:port."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One server to watch, with settings of its own."""

    server_name: Name
    """The Matrix server name, as in user ids."""
    interval: Annotated[float | None, value_types.DURATION] = None
    """How often this server is probed; overrides probe.interval."""
    expect: ExpectSettings = field(default_factory=ExpectSettings)


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How every server is probed."""

    interval: Annotated[float, value_types.DURATION] = 300.0
    """How often each server is probed; the probes are spread evenly over it."""
    timeout: Annotated[float, value_types.DURATION] = 30.0
    """How long a whole probe may take; must be below every interval."""
    concurrency: Annotated[int, value_types.CONCURRENCY] = 200
    """How many probes are in flight at most."""
    deep_interval: Annotated[float, value_types.DURATION] = 3600.0
    """How often a probe looks deeper, with a few more requests to every endpoint."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the exporter reaches the servers."""

    resolvers: tuple[Annotated[HostPort, value_types.RESOLVER], ...] = ()
    """DNS servers to ask; empty: those of the system."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store; relative to the configuration file."""
    address_policy: Annotated[AddressScope, value_types.ADDRESS_SCOPE] = AddressScope.PUBLIC
    """public: refuse private, loopback, link-local and other special addresses, and ports of other services such as 25,
    on every connection. any: allow all."""
    allow_networks: tuple[Annotated[IPNetwork, value_types.NETWORK], ...] = ()
    """Networks that are allowed although the policy is public."""
    allow_ports: tuple[Annotated[int, value_types.PORT], ...] = ()
    """Ports of other services that are allowed although the policy is public."""
    connect_to: dict[Annotated[str, value_types.DESTINATION], Annotated[HostPort, value_types.ADDRESS]] = field(
        default_factory=dict
    )
    """Connects elsewhere, like curl --connect-to: from host:port or ip:port to ip:port."""
    notaries: Annotated[tuple[Name, ...], Field(max_length=value_types.MAX_NOTARIES)] = ()
    """Homeservers that are asked, once in a while, whether they see the same signing keys; empty: none is asked."""
    connectivity_check: Annotated[
        tuple[Annotated[Target, value_types.TARGET], ...], Field(max_length=value_types.MAX_ANCHORS)
    ] = ()
    """Places, as host:port, one of which accepts connections whenever the exporter's own network is up; empty: the
    watched servers themselves, where at least three were well."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the exporter itself serves."""

    listen: tuple[Annotated[HostPort, value_types.LISTEN_ADDRESS], ...] = (DEFAULT_LISTEN,)
    """Addresses to serve /metrics on."""
    probe_any: Annotated[bool, value_types.BOOLEAN] = False
    """true: /probe and the reports probe any server that is asked for, not only those that are watched."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A URL that answers with server names, as Prometheus's http_sd expects it."""

    url: Url
    """Where the list is; http or https. It is shown in the log and on /metrics."""
    refresh_interval: Annotated[float, value_types.DURATION] = 300.0
    """How often the list is asked for."""
    token_file: Annotated[Path | None, value_types.TOKEN_FILE] = None
    """File with a bearer token, read again whenever it is used; relative to the configuration file."""
    headers: Annotated[dict[str, str], value_types.HEADERS] = field(default_factory=dict, repr=False)
    """More headers to send. Their values are never shown."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store, for this URL; relative to the configuration file."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SynapseDestinations:
    """The servers that a Synapse federates with, from its admin API."""

    url: Annotated[str, value_types.BASE_URL]
    """Where /_synapse/admin is found; http or https."""
    token_file: Annotated[Path, value_types.TOKEN_FILE]
    """File with the access token of an administrator, read again whenever it is used; relative to the configuration
    file."""
    refresh_interval: Annotated[float, value_types.DURATION] = 3600.0
    """How often the list is asked for."""
    failing_at_most: Annotated[float | None, value_types.DURATION] = None
    """Leaves out the servers that Synapse has failed to reach for longer than this; left out itself: none."""
    ca_file: Annotated[Path | None, value_types.CA_FILE] = None
    """PEM bundle that replaces the default trust store, for this URL; relative to the configuration file."""


def _server(written: object) -> object:
    """A bare server name is short for a mapping that holds nothing else."""
    return written if isinstance(written, dict) else ServerSettings(value_types.SERVER_NAME(written))


def _server_url(written: object) -> object:
    """A bare URL is short for a mapping that holds nothing else."""
    return written if isinstance(written, dict) else ServerUrl(value_types.URL(written))


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration file of matrix-federation-exporter."""

    servers: tuple[
        Annotated[ServerSettings, BeforeValidator(_server, json_schema_input_type=Name | ServerSettings)], ...
    ] = ()
    """The Matrix servers to watch: server names, or mappings with settings of their own."""
    server_files: tuple[Annotated[str, value_types.GLOB], ...] = ()
    """Patterns of files with more server names, in Prometheus's file_sd format; relative to the configuration file."""
    server_urls: tuple[
        Annotated[ServerUrl, BeforeValidator(_server_url, json_schema_input_type=Url | ServerUrl)], ...
    ] = ()
    """URLs that answer with more server names, in Prometheus's http_sd format: URLs, or mappings with settings."""
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    """Synapse homeservers whose peers are watched: all servers that they federate with."""
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    web: WebSettings = field(default_factory=WebSettings)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration, as the rest of the exporter uses it."""

    servers: tuple[WatchedServer, ...] = ()
    server_files: tuple[str, ...] = ()
    """Patterns, relative to the working directory."""
    server_urls: tuple[ServerUrl, ...] = ()
    synapse_destinations: tuple[SynapseDestinations, ...] = ()
    probe: ProbeSettings = field(default_factory=ProbeSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    web: WebSettings = field(default_factory=WebSettings)
