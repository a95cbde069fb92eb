"""Builds the parts of the exporter that a configuration describes."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

from exporter.config import AddressScope, Config, HostPort
from exporter.config.resolv_conf import SystemResolvers
from exporter.internet import Internet, IPEndpoint, families_with_route
from exporter.internet.address_policy import AddressPolicy
from exporter.model.enums import IPFamily
from exporter.probing.prober import Prober
from exporter.server_lists.http_sd import HttpSdList
from exporter.server_lists.source import ServerList
from exporter.server_lists.synapse import SynapseList


def build_prober(
    config: Config,
    stalled_seconds: Callable[[], float] = lambda: 0.0,
    *,
    remember_chains: bool = True,
    processes: int = 1,
) -> Prober:
    """Return a prober that uses the real network.

    `stalled_seconds` returns for how long the event loop has been stalled so far. With `remember_chains`, a certificate
    chain that was verified is not verified again while it is unchanged; benchmarks measure what that saves. `processes`
    that probe share the limits of what the exporter sends to one address.
    """
    network = config.network
    internet = build_network(config, remember_chains=remember_chains, processes=processes)
    return Prober(internet, config.probe.timeout, network.notaries, network.connectivity_check, stalled_seconds)


def build_network(config: Config, *, remember_chains: bool = True, processes: int = 1) -> Internet:
    """Return the real network, as `network` of the configuration describes it."""
    network = config.network
    resolvers, tcp_only = _resolvers(network.resolvers)
    return Internet(
        timeout=config.probe.timeout,
        resolvers=resolvers,
        tcp_only=tcp_only,
        ca_file=network.ca_file,
        policy=AddressPolicy(
            network.address_policy is AddressScope.PUBLIC, network.allow_networks, frozenset(network.allow_ports)
        ),
        connect_to={key: _ip_endpoint(value) for key, value in network.connect_to.items()},
        ip_families=network.ip_families,
        remember_chains=remember_chains,
        processes=processes,
    )


def ip_families(config: Config) -> frozenset[IPFamily]:
    """Return the IP families to probe over: those of the configuration, or those with a route to the Internet."""
    return frozenset(config.network.ip_families) or families_with_route()


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
