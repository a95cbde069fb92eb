"""Runs Synapse without privileges. It is started with the Python that has Synapse:

    python launch_synapse.py DNS ROUTES ARGUMENTS

`ARGUMENTS` are those of Synapse. Two things in this demo would take root: a DNS server of its own in /etc/resolv.conf,
and web servers on port 443. So Twisted, on which Synapse is built, asks the DNS server at `DNS` (`127.0.0.1:5300`), and
opens each connection where `ROUTES` says, a JSON file that is read for every connection: by `ip:port`, the `ip:port` on
loopback that stands for it. All other connections fail. Synapse itself is unchanged: it discovers servers, verifies
certificates, and signs as always.

Synapse ends when its standard input ends, so that nothing is left behind even if the demo is killed.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from synapse.app import homeserver
from twisted.internet import address, reactor
from twisted.names import client, dns

CONNECT_SECONDS = 3.0  # instead of 30, so that the demo shows soon that a firewall drops packets


class NameResolver:
    """Looks up A records. Twisted's own asks for all records at once, which DNS servers may refuse (RFC 8482)."""

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *_: object) -> None:  # noqa: N802, N803 - Twisted's names
        def pass_on(found: Any) -> None:
            for record in found[0]:
                if record.type == dns.A:
                    receiver.addressResolved(address.IPv4Address("TCP", record.payload.dottedQuad(), portNumber))

        receiver.resolutionBegan(self)
        lookup = client.lookupAddress(hostName).addCallback(pass_on)
        lookup.addErrback(lambda _: None)  # a name without addresses
        lookup.addCallback(lambda _: receiver.resolutionComplete())


def use_dns_server(host: str, port: int) -> None:
    client.theResolver = client.Resolver(servers=[(host, port)])
    reactor.installNameResolver(NameResolver())
    reactor.installNameResolver = lambda _: None  # Synapse would install one that asks the operating system


def follow_routes(routes: Path) -> None:
    connect = reactor.connectTCP

    def redirect(host: str, port: int, factory: object, *_: object, **__: object) -> Any:
        to_host, _, to_port = json.loads(routes.read_bytes())[f"{host}:{port}"].rpartition(":")
        return connect(to_host, int(to_port), factory, timeout=CONNECT_SECONDS)

    reactor.connectTCP = redirect


def stop_at_end_of_input() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    dns_host, _, dns_port = sys.argv[1].rpartition(":")
    use_dns_server(dns_host, int(dns_port))
    follow_routes(Path(sys.argv[2]))
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    del sys.argv[1:3]
    homeserver.main()
