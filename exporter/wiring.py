"""Builds the parts of the exporter that a configuration describes."""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from exporter.config import AddressScope, Config, HostPort, NetworkSettings, ProxySettings, files
from exporter.config.resolv_conf import SystemResolvers
from exporter.internet import Internet, IPEndpoint, ProxyAccess, SharedState, families_with_route
from exporter.internet.address_policy import AddressPolicy
from exporter.model.addresses import Target
from exporter.model.enums import IPFamily
from exporter.model.servers import DEFAULT_GROUP
from exporter.probing.prober import Prober
from exporter.server_lists.http_sd import HttpSdList
from exporter.server_lists.source import ServerList
from exporter.server_lists.synapse import SynapseList


def build_prober(config: Config, *, remember_chains: bool = True) -> Prober:
    """Return the prober of the servers at the top level, which uses the real network."""
    return build_probers(config, build_networks(config, remember_chains=remember_chains))[DEFAULT_GROUP]


def build_probers(
    config: Config, networks: Mapping[str, Internet], stalled_seconds: Callable[[], float] = lambda: 0.0
) -> dict[str, Prober]:
    """Return the prober of each group, by its name. `networks` are those of the groups.

    `stalled_seconds` returns for how long the event loop has been stalled so far.
    """
    return {
        group.name: Prober(
            networks[group.name],
            config.timeout_of(group),
            config.network_of(group).notaries,
            config.network_of(group).connectivity_check,
            stalled_seconds,
        )
        for group in config.groups
    }


def build_networks(config: Config, *, remember_chains: bool = True, processes: int = 1) -> dict[str, Internet]:
    """Return the real network of each group, by its name, as `network` describes it at the top level and in the group.

    Groups share a network if nothing differs, so that they have one trust store, and the results of its verifications.
    With `remember_chains`, a certificate chain that was verified is not verified again while it is unchanged;
    benchmarks measure what that saves. `processes` that probe share the limits of what the exporter sends to one
    address.
    """
    shared, names = SharedState(processes), config.networks()
    built: dict[tuple[str, float], Internet] = {}
    for group in config.groups:
        key = names[group.name], config.timeout_of(group)
        if key not in built:
            built[key] = _build_network(config.network_of(group), config.timeout_of(group), shared, remember_chains)
    return {group.name: built[names[group.name], config.timeout_of(group)] for group in config.groups}


def _build_network(
    network: NetworkSettings,
    timeout: float,
    shared: SharedState,
    remember_chains: bool,  # noqa: FBT001 - passed on
) -> Internet:
    resolvers, tcp_only = _resolvers(network.resolvers)
    return Internet(
        timeout=timeout,
        resolvers=resolvers,
        tcp_only=tcp_only,
        ca_file=network.ca_file,
        policy=AddressPolicy(
            network.address_policy is AddressScope.PUBLIC, network.allow_networks, frozenset(network.allow_ports)
        ),
        connect_to={key: _ip_endpoint(value) for key, value in network.connect_to.items()},
        ip_families=network.ip_families,
        remember_chains=remember_chains,
        shared=shared,
        proxy=_proxy(network.proxy),
    )


def _proxy(settings: ProxySettings | None) -> ProxyAccess | None:
    """Raises UnreadableError if the file of the credentials cannot be used any more."""
    if settings is None:
        return None
    credentials = files.read_credentials(settings.credentials_file) if settings.credentials_file else None
    return ProxyAccess(_target(settings), credentials)


def proxies(config: Config) -> frozenset[str]:
    """Return the host and port of each proxy that the configuration names."""
    settings = (config.network_of(group).proxy for group in config.groups)
    return frozenset(str(_target(proxy)) for proxy in settings if proxy)


def _target(proxy: ProxySettings) -> Target:
    return Target(proxy.url.host, proxy.url.port)


def ip_families(config: Config) -> dict[str, frozenset[IPFamily]]:
    """Return by network the IP families to probe over: those that it names, or those with a route to the Internet.

    A proxy may have both.
    """
    with_route, names = families_with_route(), config.networks()
    return {
        group.name: frozenset(network.ip_families) or (frozenset(IPFamily) if network.proxy else with_route)
        for group in config.groups
        if names[group.name] == group.name
        for network in [config.network_of(group)]
    }


def _resolvers(configured: Sequence[HostPort]) -> tuple[Callable[[], Sequence[IPEndpoint]], Callable[[], bool]]:
    """Return what returns the DNS servers, and what returns whether they are queried over TCP alone.

    They are those of the configuration or, if there are none, those of the system.
    """
    if configured:
        endpoints = [_ip_endpoint(resolver) for resolver in configured]
        return lambda: endpoints, lambda: False
    system = SystemResolvers()
    return lambda: [_ip_endpoint(resolver) for resolver in system()], system.tcp_only


def build_server_lists(config: Config) -> tuple[ServerList, ...]:
    """Return the server lists that are fetched over HTTP."""
    max_servers = config.lists.max_servers
    return (
        *(HttpSdList(url, max_servers) for url in config.server_urls),
        *(SynapseList(synapse, max_servers) for synapse in config.synapse_destinations),
    )


def _ip_endpoint(address: HostPort) -> IPEndpoint:
    return ip_address(address.host), address.port
