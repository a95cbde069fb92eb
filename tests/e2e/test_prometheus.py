"""The shipped rules and configurations, in a real Prometheus and a real Alertmanager, over the running exporter.

The exporter watches broken servers of the embedded federation, which then are repaired.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.app import App
from exporter.demo.authority import LEAF_LIFETIME
from exporter.demo.federation import Federation
from exporter.demo.homeserver import VERSION, publish_signed_keys
from exporter.demo.https_server import WELCOME, WELL_KNOWN
from exporter.demo.servers import LabServer, Website, federates
from exporter.internet import resolver
from exporter.model.enums import Method
from tests.deploy.rules import ALERTS
from tests.e2e.monitoring import (
    SPEED_UP,
    Alert,
    Receiver,
    alertmanager,
    ever_told,
    firing,
    known,
    prometheus,
    receiver,
    speed_up,
    told,
)
from tests.embedded_federation import lab_servers, quick, write_config
from tests.waiting import PATIENCE, slowness, until_equal

# ---------------------------------------------------------------- the servers, and what is to be told of them

HEALTHY = lab_servers(
    "default-port.lab.test", "explicit-port.lab.test:8449", "well-known-port.lab.test", "srv.lab.test", "192.0.2.11"
)
DOWN = {
    "expired.lab.test": "tls (certificate_expired)",
    "wrong-name.lab.test": "tls (certificate_name_mismatch)",
    "untrusted.lab.test": "tls (certificate_untrusted)",
    "incomplete-chain.lab.test": "tls (certificate_incomplete_chain)",
    "refused.lab.test": "tcp (connect_refused)",
    "black-hole.lab.test": "tcp (connect_timeout)",
    "plain-http.lab.test": "tls (not_tls)",
    "bad-signature.lab.test": "keys (signature_invalid)",
    "expired-keys.lab.test": "keys (key_expired)",
    "other-keys.lab.test": "keys (server_name_mismatch)",
    "well-known-html.lab.test": "tcp (connect_refused), well_known (not_json)",
    "nxdomain.lab.test": "dns (nxdomain)",
}
"""Every server that nobody can federate with, and what the description says of it."""
PARTLY = "srv-servfail.lab.test"
FAILING_STAGES = {"no-version.lab.test": "version", "srv-alias.lab.test": "srv", PARTLY: "srv"}
"""The stages that fail of servers that at least some homeservers can federate with."""

FALLBACK = LabServer(
    "fallback.lab.test",
    "a web page where the well-known should be, and a homeserver where peers fall back to",
    Method.DEFAULT_8448,
    zone="fallback.lab.test A 192.0.2.201",
    ports={
        "192.0.2.201:443": Website("fallback.lab.test", {WELL_KNOWN: WELCOME}),
        "192.0.2.201:8448": federates("fallback.lab.test"),
    },
)
HALF = LabServer(
    "half.lab.test",
    "an IPv6 address where nothing listens",
    Method.DEFAULT_8448,
    zone="""
        half.lab.test A    192.0.2.202
        half.lab.test AAAA 2001:db8::202
    """,
    ports={
        "192.0.2.202:8448": federates("half.lab.test"),
        "[2001:db8::203]:443": Website("half.lab.test"),
        "[2001:db8::203]:8448": federates("half.lab.test"),
    },
)
SOON, VERY_SOON, LEGACY = lab_servers("well-known.lab.test", "well-known-ip.lab.test", "srv-legacy.lab.test")

CAUSES = {
    Alert("CertificateExpired", "expired.lab.test", "federation"),
    Alert("CertificateInvalid", "wrong-name.lab.test", "federation"),
    Alert("CertificateInvalid", "untrusted.lab.test", "federation"),
    Alert("CertificateInvalid", "incomplete-chain.lab.test", "federation"),
    Alert("SigningKeyExpired", "expired-keys.lab.test"),
}
OF_THOSE_THAT_WORK = {
    Alert("ServerPartiallyDown", PARTLY),
    *(Alert("StageFailing", name, stage) for name, stage in FAILING_STAGES.items()),
    Alert("StageFailing", "fallback.lab.test", "well_known"),
    Alert("IPv6Unreachable", "half.lab.test"),
    Alert("CertificateExpiringSoon", SOON.server_name, "federation"),
    Alert("CertificateExpiryCritical", VERY_SOON.server_name, "federation"),
    Alert("Warning", "srv-legacy.lab.test", "legacy_srv_only"),
}
TOLD = {Alert("ServerDown", name) for name in DOWN} | CAUSES | OF_THOSE_THAT_WORK
INHIBITED = {
    *(
        Alert("StageFailing", name, failure.partition(" ")[0])
        for name, failures in DOWN.items()
        for failure in failures.split(", ")
        if not failure.startswith("tcp")
    ),
    Alert("CertificateExpiringSoon", VERY_SOON.server_name, "federation"),
    Alert("Warning", "half.lab.test", "some_endpoints_broken"),
}
"""What Prometheus knows, and Alertmanager keeps to itself."""
MOVED = {
    "srv-alias.lab.test": "hs.srv-alias.lab.test:8450 (srv_fed)",
    "srv-legacy.lab.test": "hs.srv-legacy.lab.test:8450 (srv_fed)",
}
"""Of these the repair changes the delegation, which is told too."""
AFTER_REPAIR = {Alert("DelegationChanged", name) for name in MOVED}

RECEIVERS = {"critical": "pager", "warning": "tickets", "info": "notes"}

# ---------------------------------------------------------------- repair


def with_spare_machine(number: int, server: LabServer) -> LabServer:
    """And a healthy machine to which DNS may lead one day."""
    name, spare = server.server_name, spare_address(number)
    machine = {f"{spare}:443": Website(name), f"{spare}:8448": federates(name)}
    return replace(server, ports={**server.ports, **machine})


def spare_address(number: int) -> str:
    return f"203.0.113.{number + 1}"


BROKEN = [with_spare_machine(number, server) for number, server in enumerate(lab_servers(*DOWN, *FAILING_STAGES))]
SERVERS = (*HEALTHY, *BROKEN, FALLBACK, HALF, SOON, VERY_SOON, LEGACY)


def age_certificates(federation: Federation) -> None:
    """12 and 4 days before they expire, of 90."""
    for server, days in ((SOON, 12), (VERY_SOON, 4)):
        not_after = datetime.now(UTC) + timedelta(days=days)
        present(federation, server, not_after)


def present(federation: Federation, server: LabServer, not_after: datetime) -> None:
    running = federation.server(server.server_name)
    website = next(port for port in server.ports.values() if isinstance(port, Website) and port.proxy)
    running.present(
        federation.authority.issue([website.name], not_before=not_after - LEAF_LIFETIME, not_after=not_after)
    )


def repair(federation: Federation) -> None:
    """All that was broken."""
    for number, server in enumerate(BROKEN):
        move_to_spare_machine(federation, number, server)
    for server in (SOON, VERY_SOON):
        present(federation, server, datetime.now(UTC) + LEAF_LIFETIME)
    zone = federation.dns.zone
    zone.put("_matrix-fed._tcp.srv-alias.lab.test", "SRV", "10 5 8450 hs.srv-alias.lab.test.")
    zone.put("_matrix-fed._tcp.srv-legacy.lab.test", "SRV", "10 5 8450 hs.srv-legacy.lab.test.")
    zone.put("half.lab.test", "AAAA", "2001:db8::203")
    federation.server("fallback.lab.test").resources.clear()


def move_to_spare_machine(federation: Federation, number: int, server: LabServer) -> None:
    running = federation.server(server.server_name)
    running.homeserver.publish_keys = publish_signed_keys
    running.homeserver.resources[VERSION] = running.homeserver.version
    for name, rdtype in server.dns_faults:
        running.zone.repair(name, rdtype)
    running.zone.put(server.server_name, "A", spare_address(number))


# ---------------------------------------------------------------- looking


@asynccontextmanager
async def exporter(folder: Path, federation: Federation, slowness: float) -> AsyncIterator[App]:
    configuration = write_config(folder / "config.yaml", federation, probe=quick(slowness))
    app = App(configuration, first_round=0.1)
    app._schedule._grace = 0.1
    async with app:
        yield app


# ---------------------------------------------------------------- the tests


@pytest.mark.prometheus
@pytest.mark.system("prometheus")
@pytest.mark.system("prometheus-alertmanager")
@pytest.mark.timeout(6 * PATIENCE)
async def test_alerts_fire_and_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are to be expected and no others, with stage and reason, by way of the right receiver; all of them
    resolve when the servers are repaired.

    The last to fire are those that wait longest: whatever else would fire has fired by then.
    """
    monkeypatch.setattr(resolver, "_MOMENT_SHARE", 1.0)  # with a timeout as short as here, a moment is soon over
    slow = slowness()
    time_factor = SPEED_UP / slow
    async with Federation(SERVERS) as federation, exporter(tmp_path, federation, slow) as app:
        age_certificates(federation)
        with (
            receiver() as (receiving, receives),
            alertmanager(tmp_path / "alertmanager", receiver=receives, factor=time_factor) as alerts_to,
            prometheus(
                tmp_path / "prometheus",
                exporter=str(app.addresses[0]),
                alertmanager=alerts_to,
                factor=time_factor,
            ) as address,
        ):
            await until_equal(firing(TOLD | INHIBITED), lambda: known(address))
            await until_equal(TOLD, lambda: told(receiving))
            repair(federation)
            await until_equal(TOLD | AFTER_REPAIR, lambda: ever_told(receiving))
            await until_equal(set(), lambda: known(address))
            await until_equal(set(), lambda: told(receiving))
    by_receiver = receiving.receivers()
    for each in TOLD | AFTER_REPAIR:
        assert by_receiver[each] == RECEIVERS[ALERTS[f"MatrixFederation{each.name}"]["labels"]["severity"]]
    assert_descriptions(receiving)


def assert_descriptions(receiving: Receiver) -> None:
    """As people read them, while the server was broken."""
    descriptions: defaultdict[Alert, set[str]] = defaultdict(set)
    for notification in receiving.notifications:
        descriptions[notification.alert].add(notification.description)
    for name, failures in DOWN.items():
        down = (
            f"Neither Synapse nor Dendrite can federate with {name}, according to every exporter. "
            f"Failing stages: {failures}."
        )
        assert down in descriptions[Alert("ServerDown", name)]
    for cause in CAUSES:
        failing = f" Failing stages: {DOWN[cause.server_name]}."
        assert any(description.endswith(failing) for description in descriptions[cause])
    partly = (
        f"{PARTLY} federates only in part. Implementations that cannot federate with it: synapse. "
        "Failing stages: srv (dns_failure)."
    )
    assert partly in descriptions[Alert("ServerPartiallyDown", PARTLY)]
    fallback = (
        "The stage well_known of fallback.lab.test fails on every exporter. Failing stages: well_known (not_json)."
    )
    assert fallback in descriptions[Alert("StageFailing", "fallback.lab.test", "well_known")]
    half = (
        "No IPv6 endpoint of half.lab.test passes every stage. Homeservers that try IPv6 first are slow or fail. "
        "Failing stages: tcp (connect_refused)."
    )
    assert half in descriptions[Alert("IPv6Unreachable", "half.lab.test")]
    for name, way in MOVED.items():
        now = f"{name} now resolves to {way}. "
        assert any(each.startswith(now) for each in descriptions[Alert("DelegationChanged", name)])


def test_time_runs_faster() -> None:
    """Waits and ranges are shortened, names and thresholds stay."""
    shipped = "for: 10m\nexpr: a:b:increase1h[30d:1h] > 21 * 86400\nrepeat_interval: 4h # of 5d\n"
    assert (
        speed_up(shipped) == "for: 4s\nexpr: a:b:increase1h[4h48m:24s] > 21 * 86400\nrepeat_interval: 1m36s # of 5d\n"
    )
