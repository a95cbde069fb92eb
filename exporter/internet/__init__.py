"""The real network: the DNS resolver, the address policy for every connection, sockets, TLS and HTTP."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from exporter.internet.address_policy import AddressPolicy
from exporter.internet.connection import InternetConnection
from exporter.internet.known_chains import KnownChains
from exporter.internet.resolver import Resolver
from exporter.internet.tcp import IPEndpoint
from exporter.internet.tls_contexts import TlsContexts
from exporter.model.addresses import Endpoint, host_port
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses

__all__ = ["IPEndpoint", "Internet"]

_PUBLIC_ONLY = AddressPolicy()
_LOOKUP_SHARE = 0.25  # of a probe's timeout: less than a stage has, so that a silent lookup of A leaves time for AAAA


class Internet:
    """The `Network` that probes use in production.

    `timeout` is the timeout of a whole probe, in seconds. `resolvers` returns the DNS servers: by default, there
    are none. `ca_file` (PEM) replaces the operating system's trust store.

    `connect_to` redirects connections, as curl's --connect-to does: it maps "host:port" (then the host is not looked
    up) or "ip:port" to the endpoint to connect to. The operator has configured it, so the address policy does not apply
    to such an endpoint.

    With `remember_chains`, a certificate chain that OpenSSL has verified is not verified again while it is unchanged.
    """

    def __init__(  # noqa: PLR0913 - all but one have a default
        self,
        *,
        timeout: float,
        resolvers: Callable[[], Sequence[IPEndpoint]] = tuple,
        ca_file: Path | None = None,
        policy: AddressPolicy = _PUBLIC_ONLY,
        connect_to: Mapping[str, IPEndpoint] | None = None,
        remember_chains: bool = True,
    ) -> None:
        self._resolver = Resolver(resolvers, timeout * _LOOKUP_SHARE)
        self._tls_contexts = TlsContexts(ca_file, KnownChains() if remember_chains else KnownChains(capacity=0))
        self._policy = policy
        self.chain_cache = ChainCache()
        self._connect_to = connect_to or {}

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        return await self._resolver.srv(service, host)

    async def addresses(self, host: str, port: int) -> Addresses:
        if redirected := self._connect_to.get(host_port(host.lower(), port)):
            return Addresses(host, (redirected[0],))
        return await self._resolver.addresses(host)

    async def resolver_responds(self) -> bool:
        return await self._resolver.responds()

    def connection(self, endpoint: Endpoint) -> InternetConnection:
        target = endpoint.target
        redirected = self._connect_to.get(host_port(target.host.lower(), target.port))
        redirected = redirected or self._connect_to.get(endpoint.address)
        ip, port = redirected or (endpoint.ip, target.port)
        refusal = None if redirected else self._policy.refusal(ip, port)
        return InternetConnection((ip, port), self._tls_contexts, refusal)
