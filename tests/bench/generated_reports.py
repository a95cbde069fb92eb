"""Generated reports. They differ as much as those of real servers, so that gzip has a realistic task."""

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


def generate_servers(count: int, seed: int = 1) -> list[WatchedServer]:
    """Return servers with different names, the same ones at every call."""
    rng = random.Random(seed)
    return [WatchedServer(_generate_name(rng, number), INTERVAL_SECONDS) for number in range(count)]


def _generate_name(rng: random.Random, number: int) -> ServerName:
    label = "".join(rng.choices(LETTERS, k=rng.randint(4, 14))).strip("-")
    return names.parse(f"matrix.{label}{number}.{rng.choice(TOP_LEVELS)}")


def generate_reports(watched: list[WatchedServer], seed: int = 2) -> Iterator[Report]:
    """Yield a healthy report of each server. Reports share no objects."""
    rng = random.Random(seed)
    for server in watched:
        yield _generate_report(server.server_name, rng)


def _generate_report(server_name: ServerName, rng: random.Random) -> Report:
    host = server_name.host
    target = Target(f"synapse.{host}", rng.choice((443, 8448)))
    endpoint = Endpoint(target, IPv4Address(rng.randrange(1 << 24, 224 << 24)))
    now = datetime.now(UTC)
    return Report(
        server_name=server_name,
        ended_at=now - timedelta(seconds=rng.uniform(0, INTERVAL_SECONDS)),
        seconds=rng.uniform(0.05, 3),
        well_known=Passed(
            _generate_seconds(rng),
            Delegation(86400, names.parse(str(target)), tls_session=_generate_tls_session(host, now, rng)),
        ),
        srv=Passed(_generate_seconds(rng), SrvRecords(dict.fromkeys(SrvService, ()), decided_by=None)),
        route=Route(Method.WELL_KNOWN_PORT, (target,), str(target), target.host, target.host),
        dns=Passed(_generate_seconds(rng), Resolution((endpoint,))),
        endpoints=(
            EndpointReport(
                endpoint,
                tcp=Passed(_generate_seconds(rng), None),
                tls=Passed(_generate_seconds(rng), _generate_tls_session(target.host, now, rng)),
                version=Passed(
                    _generate_seconds(rng),
                    Software(rng.choice(SOFTWARE), f"1.{rng.randrange(200)}.{rng.randrange(9)}"),
                ),
                keys=Passed(
                    _generate_seconds(rng),
                    SigningKeys({"ed25519:a": "a2V5"}, _later(now, 1, rng), "application/json"),
                ),
            ),
        ),
        deep=DeepLook(now, {}, srv=None, notaries=()),
    )


def _generate_seconds(rng: random.Random) -> float:
    """Return a duration with as many digits as the clock has."""
    return rng.expovariate(20)


def _later(now: datetime, days: float, rng: random.Random) -> datetime:
    return now + timedelta(days=rng.uniform(0.1, days))


def _generate_tls_session(host: str, now: datetime, rng: random.Random) -> TlsSession:
    not_after = _later(now, 90, rng).replace(microsecond=0)
    return TlsSession(
        Certificate(
            not_before=not_after - timedelta(days=90),
            not_after=not_after,
            chain_not_after=not_after,
            issuer=rng.choice(ISSUERS),
            subject=f"CN={host}",
            names=(host,),
            fingerprint_sha256=rng.randbytes(32).hex(),
            valid=True,
        ),
        "TLSv1.3",
    )


def with_server_name(report: Report, server_name: ServerName) -> Report:
    """Return the same report of another server."""
    return replace(report, server_name=server_name)
