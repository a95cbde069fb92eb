"""Steps 1 to 6 of server discovery."""

import pytest

from exporter.model import names, routes
from exporter.model.addresses import Target
from exporter.model.enums import Method, SrvService
from exporter.model.findings import SrvRecord, SrvRecords
from exporter.model.routes import Route

HS = Target("hs.test", 8450)
RECORD = SrvRecord(10, 5, HS)


def records_of(service: SrvService, *records: SrvRecord) -> SrvRecords:
    return SrvRecords({service: records}, service)


FED, LEGACY = records_of(SrvService.MATRIX_FED, RECORD), records_of(SrvService.MATRIX, RECORD)
NO_RECORD = SrvRecords({SrvService.MATRIX_FED: (), SrvService.MATRIX: ()}, None)
FAILED = SrvRecords({}, SrvService.MATRIX_FED)


@pytest.mark.parametrize(
    ("name", "delegated", "srv", "route"),
    [
        (
            "192.0.2.1",
            None,
            None,
            Route(Method.IP_LITERAL, (Target("192.0.2.1", 8448),), "192.0.2.1", "192.0.2.1", None),
        ),
        (
            "[2001:db8::1]:80",
            None,
            None,
            Route(Method.IP_LITERAL, (Target("2001:db8::1", 80),), "[2001:db8::1]:80", "2001:db8::1", None),
        ),
        ("a.test:1", None, None, Route(Method.EXPLICIT_PORT, (Target("a.test", 1),), "a.test:1", "a.test", "a.test")),
        ("a.test:0", None, None, Route(Method.EXPLICIT_PORT, (Target("a.test", 0),), "a.test:0", "a.test", "a.test")),
        (
            "a.test",
            "192.0.2.2",
            None,
            Route(Method.WELL_KNOWN_IP, (Target("192.0.2.2", 8448),), "192.0.2.2", "192.0.2.2", None),
        ),
        (
            "a.test",
            "b.test:443",
            None,
            Route(Method.WELL_KNOWN_PORT, (Target("b.test", 443),), "b.test:443", "b.test", "b.test"),
        ),
        ("a.test", "b.test", FED, Route(Method.WELL_KNOWN_SRV_FED, (HS,), "b.test", "b.test", "b.test")),
        ("a.test", "b.test", LEGACY, Route(Method.WELL_KNOWN_SRV_LEGACY, (HS,), "b.test", "b.test", "b.test")),
        (
            "a.test",
            "b.test",
            NO_RECORD,
            Route(Method.WELL_KNOWN_8448, (Target("b.test", 8448),), "b.test", "b.test", "b.test"),
        ),
        ("a.test", None, FED, Route(Method.SRV_FED, (HS,), "a.test", "a.test", "a.test")),
        ("a.test", None, LEGACY, Route(Method.SRV_LEGACY, (HS,), "a.test", "a.test", "a.test")),
        (
            "a.test",
            None,
            NO_RECORD,
            Route(Method.DEFAULT_8448, (Target("a.test", 8448),), "a.test", "a.test", "a.test"),
        ),
        ("a.test", None, FAILED, Route(Method.SRV_FED, (), "a.test", "a.test", "a.test")),
    ],
)
def test_plans_a_route_for_each_step(name: str, delegated: str | None, srv: SrvRecords | None, route: Route) -> None:
    """Every step of the specification has its own targets, `Host` and certificate name."""
    assert routes.plan(names.parse(name), names.parse(delegated) if delegated else None, srv) == route


def test_lists_a_target_once() -> None:
    """Two records of different priority may have the same target."""
    twice = records_of(SrvService.MATRIX_FED, RECORD, SrvRecord(20, 0, HS))
    assert routes.plan(names.parse("a.test"), None, twice).targets == (HS,)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.test", True), ("a.test:8448", False), ("192.0.2.1", False), ("[2001:db8::1]", False)]
)
def test_only_bare_names_have_a_well_known(name: str, *, expected: bool) -> None:
    assert routes.uses_well_known(names.parse(name)) is expected


@pytest.mark.parametrize(
    ("name", "delegated", "host"),
    [
        ("a.test", None, "a.test"),
        ("a.test", "b.test", "b.test"),
        ("a.test", "b.test:443", None),
        ("a.test", "192.0.2.1", None),
        ("a.test:8448", None, None),
        ("192.0.2.1", None, None),
    ],
)
def test_only_bare_names_have_srv_records(name: str, delegated: str | None, host: str | None) -> None:
    """If there is a delegated name, its records are looked up instead of the server name's."""
    assert routes.srv_host(names.parse(name), names.parse(delegated) if delegated else None) == host
