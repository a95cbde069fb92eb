"""The real network: our own resolver, the address policy on every connection, sockets, TLS and HTTP."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from exporter.internet.address_policy import AddressPolicy
from exporter.internet.connection import InternetConnection
from exporter.internet.known_chains import KnownChains
from exporter.internet.resolver import Resolver
from exporter.internet.tls_contexts import TlsContexts
from exporter.model.addresses import Endpoint, IPAddress, host_port
from exporter.model.enums import SrvService
from exporter.model.findings import SrvRecord
from exporter.probing.chain_cache import ChainCache
from exporter.probing.evidence import Addresses

_PUBLIC_ONLY = AddressPolicy()
_LOOKUP_SHARE = 0.25  # of a probe's timeout: below that of a stage, so that one family's silence spares the other

IPEndpoint: TypeAlias = tuple[IPAddress, int]


class Internet:
    """`timeout` is that of a whole probe, in seconds.

    `connect_to` redirects connections, as curl's --connect-to: from "host:port" (then the host is not looked up) or
    "ip:port" to a place. That is the operator's word, so the address policy is not asked about it.
    With `remember_chains`, a certificate chain that was found good is not verified again as long as it stays the same.
    """

    def __init__(  # noqa: PLR0913 - each has a name, and all but one may be left out
        self,
        *,
        timeout: float,
        resolvers: Sequence[IPEndpoint] = (),
        ca_file: Path | None = None,
        policy: AddressPolicy = _PUBLIC_ONLY,
        connect_to: Mapping[str, IPEndpoint] | None = None,
        remember_chains: bool = True,
    ) -> None:
        self._resolver = Resolver(resolvers, timeout * _LOOKUP_SHARE)
        self._trust = TlsContexts(ca_file, KnownChains() if remember_chains else KnownChains(capacity=0))
        self._policy = policy
        self.chain_cache = ChainCache()
        self._connect_to = connect_to or {}

    async def srv(self, service: SrvService, host: str) -> tuple[SrvRecord, ...]:
        return await self._resolver.srv(service, host)

    async def addresses(self, host: str, port: int) -> Addresses:
        if place := self._connect_to.get(host_port(host.lower(), port)):
            return Addresses(host, (place[0],))
        return await self._resolver.addresses(host)

    async def resolver_responds(self) -> bool:
        return await self._resolver.answers()

    def connection(self, endpoint: Endpoint) -> InternetConnection:
        target = endpoint.target
        redirected = self._connect_to.get(host_port(target.host.lower(), target.port))
        redirected = redirected or self._connect_to.get(endpoint.address)
        ip, port = redirected or (endpoint.ip, target.port)
        refusal = None if redirected else self._policy.refusal(ip, port)
        return InternetConnection(ip, port, self._trust, refusal)
