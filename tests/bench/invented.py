"""Reports of servers that do not exist, as unlike one another as real ones: else gzip would have too easy a time."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Method, SrvService
from exporter.model.findings import Certificate, Delegation, Resolution, SigningKeys, Software, SrvRecords, TlsSession
from exporter.model.names import ServerName
from exporter.model.outcomes import Passed
from exporter.model.report import DeepLook, EndpointReport, Report
from exporter.model.routes import Route
from exporter.model.servers import WatchedServer

INTERVAL_SECONDS = 300.0
LETTERS = "abcdefghijklmnopqrstuvwxyz-0123456789"
TOP_LEVELS = ("org", "net", "com", "de", "fr", "io", "chat", "me")
ISSUERS = tuple(f"CN={name},O=Let's Encrypt,C=US" for name in ("E7", "E8", "R12", "R13"))
SOFTWARE = ("Synapse", "Dendrite", "conduwuit", "Tuwunel")


def everyone(count: int, seed: int = 1) -> list[WatchedServer]:
    """With names of their own, the same at every call."""
    chance = random.Random(seed)
    return [WatchedServer(name(chance, number), INTERVAL_SECONDS, None) for number in range(count)]


def name(chance: random.Random, number: int) -> ServerName:
    label = "".join(chance.choices(LETTERS, k=chance.randint(4, 14))).strip("-")
    return names.parse(f"matrix.{label}{number}.{chance.choice(TOP_LEVELS)}")


def reports(watched: list[WatchedServer], seed: int = 2) -> Iterator[Report]:
    """A healthy one of each, with objects of its own."""
    chance = random.Random(seed)
    for server in watched:
        yield report(server.server_name, chance)


def report(server_name: ServerName, chance: random.Random) -> Report:
    host = server_name.host
    target = Target(f"synapse.{host}", chance.choice((443, 8448)))
    endpoint = Endpoint(target, IPv4Address(chance.randrange(1 << 24, 224 << 24)))
    now = datetime.now(UTC)
    return Report(
        server_name=server_name,
        ended_at=now - timedelta(seconds=chance.uniform(0, INTERVAL_SECONDS)),
        seconds=chance.uniform(0.05, 3),
        well_known=Passed(
            took(chance), Delegation(86400, names.parse(str(target)), tls_session=secured(host, now, chance))
        ),
        srv=Passed(took(chance), SrvRecords(dict.fromkeys(SrvService, ()), decided_by=None)),
        route=Route(Method.WELL_KNOWN_PORT, (target,), str(target), target.host, target.host),
        dns=Passed(took(chance), Resolution((endpoint,))),
        endpoints=(
            EndpointReport(
                endpoint,
                tcp=Passed(took(chance), None),
                tls=Passed(took(chance), secured(target.host, now, chance)),
                version=Passed(
                    took(chance), Software(chance.choice(SOFTWARE), f"1.{chance.randrange(200)}.{chance.randrange(9)}")
                ),
                keys=Passed(
                    took(chance), SigningKeys({"ed25519:a": "a2V5"}, later(now, 1, chance), "application/json")
                ),
            ),
        ),
        deep=DeepLook(now, {}, srv=None, notaries=()),
    )


def took(chance: random.Random) -> float:
    """Seconds, to as many digits as the clock has."""
    return chance.expovariate(20)


def later(now: datetime, days: float, chance: random.Random) -> datetime:
    return now + timedelta(days=chance.uniform(0.1, days))


def secured(host: str, now: datetime, chance: random.Random) -> TlsSession:
    not_after = later(now, 90, chance).replace(microsecond=0)
    return TlsSession(
        Certificate(
            not_before=not_after - timedelta(days=90),
            not_after=not_after,
            chain_not_after=not_after,
            issuer=chance.choice(ISSUERS),
            subject=f"CN={host}",
            names=(host,),
            fingerprint_sha256=chance.randbytes(32).hex(),
            valid=True,
        ),
        "TLSv1.3",
    )


def moved(seen: Report, server_name: ServerName) -> Report:
    """The same of another server."""
    return replace(seen, server_name=server_name)
