"""The conformance cases of server discovery: all of them, one test each.

The cases of the grammar test `names` and `routes`; all others test a whole probe, over real DNS and real https on
loopback.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.demo.authority import EXPIRED, UNTRUSTED, VALID, WRONG_NAME, Authority
from exporter.judging import verdict
from exporter.judging.warnings import WarningName, warnings
from exporter.model import names, routes
from exporter.model.addresses import Target, host_port
from exporter.model.enums import Method, Stage
from exporter.model.outcomes import Passed, found
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.probing.prober import Prober
from exporter.probing.stages import keys, version, well_known
from tests.conformance.world import (
    CERTIFICATES,
    HTTPS_PORT,
    TIMEOUT_SECONDS,
    Case,
    Hop,
    ReceivedRequest,
    World,
    addresses,
)
from tests.lab.certificates import SELF_SIGNED

pytestmark = pytest.mark.lab

_SUITE: Final = yaml.load(Path(__file__).with_name("discovery.yaml").read_bytes(), yaml.CSafeLoader)
CASES: Final[dict[str, Case]] = {case["id"]: case for case in _SUITE["cases"]}

# Cases that the exporter decides differently; each has a test of its own below, which says why.
DIFFERENT = {"g-trailing-dot", "cache-serve-stale-on-temp-failure"}

GRAMMAR = [
    pytest.param(case, id=name) for name, case in CASES.items() if case["group"] == "grammar" and name not in DIFFERENT
]
NETWORK = [
    pytest.param(case, id=name) for name, case in CASES.items() if case["group"] != "grammar" and name not in DIFFERENT
]

EXPIRES_RESOLUTION_SECONDS = 1  # the header counts in whole seconds
# Where homeservers do otherwise, by `tests/agreement/kit/causes.md`. The verdict is theirs.
NOBODY_FALLS_BACK = {"wk-m-server-url", "wk-m-server-port-word", "wk-m-server-bare-v6"}
SOME_GO_ON_TO_8448 = {"srv-fed-servfail", "srv-refused"}  # Dendrite and the Conduit family

WELL_KNOWN_REASONS = {
    "http_status": Reason.HTTP_STATUS,
    "bad_json": Reason.NOT_JSON,
    "bad_encoding": Reason.NOT_JSON,
    "not_object": Reason.INVALID_DELEGATION,
    "missing_m_server": Reason.INVALID_DELEGATION,
    "wrong_type": Reason.INVALID_DELEGATION,
    "empty": Reason.INVALID_DELEGATION,
    "invalid_server_name": Reason.INVALID_DELEGATION,
    "too_large": Reason.TOO_LARGE,
    "redirect_loop": Reason.REDIRECT,
    "too_many_redirects": Reason.REDIRECT,
    "connect": Reason.CONNECT_REFUSED,
    "dns": Reason.NXDOMAIN,
}
CERTIFICATE_REASONS = {
    UNTRUSTED: Reason.CERTIFICATE_UNTRUSTED,
    SELF_SIGNED: Reason.CERTIFICATE_UNTRUSTED,
    EXPIRED: Reason.CERTIFICATE_EXPIRED,
    WRONG_NAME: Reason.CERTIFICATE_NAME_MISMATCH,
}
NOTHING_THERE = {Reason.CONNECT_REFUSED, Reason.NXDOMAIN}


def test_no_case_is_left_out() -> None:
    assert len(GRAMMAR) + len(NETWORK) + len(DIFFERENT) == len(CASES) == 139


# ---------------------------------------------------------------- grammar


@pytest.mark.parametrize("case", GRAMMAR)
def test_grammar(case: Case) -> None:
    """A server name is parsed as the grammar says, or refused; without a delegation it is its own route."""
    expected = case["expected"]
    if not expected["valid_name"]:
        with pytest.raises(names.InvalidServerNameError):
            names.parse(case["server_name"])
        return
    name, parsed = names.parse(case["server_name"]), expected["parsed"]
    family = f"ipv{name.ip.version}" if name.ip else None
    assert {"host": name.host, "port": name.port, "ip_literal": family} == parsed
    route = routes.plan(name, None, None)
    port = routes.DEFAULT_PORT if name.port is None else name.port
    assert (route.targets, route.host_header) == ((Target(parsed["host"], port),), case["server_name"])


def test_a_final_dot_is_refused() -> None:
    """`g-trailing-dot` is ambiguous: the grammar alone admits it, and Synapse refuses it. No server should run under a
    name that part of the network cannot talk to, and in a configuration it is most likely a typing error.
    """
    with pytest.raises(names.InvalidServerNameError, match="remove the extra dot"):
        names.parse(CASES["g-trailing-dot"]["server_name"])


# ---------------------------------------------------------------- everything else: what the report must say


@dataclass(frozen=True, slots=True)
class Discovery:
    method: Method
    targets: tuple[frozenset[str], ...]
    """The targets within a set may be tried in any order."""
    host_header: str
    sni: str | None
    tls_name: str
    endpoints: frozenset[str]
    well_known: tuple[str, Reason | None, str | None] | None
    """The outcome, the reason and `m.server`."""
    problems: frozenset[tuple[Stage, Reason]]
    federates: bool


def summarize(report: Report, groups: list[list[str]]) -> Discovery:
    targets, route = iter(map(str, report.route.targets)), report.route
    in_groups = tuple(frozenset(next(targets) for _ in group) for group in groups)
    return Discovery(
        method=route.method,
        targets=(*in_groups, *(frozenset({target}) for target in targets)),
        host_header=route.host_header,
        sni=route.sni,
        tls_name=route.tls_name,
        endpoints=frozenset(endpoint.endpoint.address for endpoint in report.endpoints),
        well_known=well_known_result(report),
        problems=frozenset((located.stage, located.problem.reason) for located in verdict.problems(report)),
        federates=verdict.federates(report),
    )


def well_known_result(report: Report) -> tuple[str, Reason | None, str | None] | None:
    delegation = found(report.well_known)
    if delegation is None:
        return None
    if delegation.server:
        return "valid", None, delegation.server.text
    if isinstance(report.well_known, Passed):
        return "absent", delegation.absent_because, None
    return "failed", next(p.problem.reason for p in verdict.problems(report) if p.stage is Stage.WELL_KNOWN), None


def expected_discovery(case: Case) -> Discovery:
    expected = case["expected"]
    well_known, problems = expected_well_known(case), frozenset(expected_problems(case))
    return Discovery(
        method=Method(expected["step"]),
        targets=tuple(frozenset(group) for group in target_groups(expected)),
        host_header=expected["host_header"],
        sni=expected["sni"],
        tls_name=expected["cert_name"],
        endpoints=frozenset(expected["addresses"]),
        well_known=well_known,
        problems=problems,
        federates=case["id"] not in NOBODY_FALLS_BACK and all(is_harmless(*problem) for problem in problems),
    )


def is_harmless(stage: Stage, reason: Reason) -> bool:
    """Whether a server with the problem can federate. Every homeserver follows an alias."""
    return stage is Stage.WELL_KNOWN or reason is Reason.SRV_TARGET_ALIAS


def target_groups(expected: Case) -> list[list[str]]:
    match expected["order"]:
        case "strict":
            return [[target] for target in expected["targets"]]
        case "any":
            return [expected["targets"]]
        case _:
            groups: list[list[str]] = expected["groups"]
            return groups


def expected_well_known(case: Case) -> tuple[str, Reason | None, str | None] | None:
    expected, error = case["expected"], case["expected"]["well_known_error"]
    if not expected["well_known_fetched"]:
        return None
    if error is None:
        return "valid", None, json.loads(case["well_known"]["body"])["m.server"]
    reason = broken_certificate(case["well_known"]) if error == "tls" else WELL_KNOWN_REASONS[error]
    absent = reason in NOTHING_THERE or case["well_known"]["status"] == 404
    return ("absent" if absent else "failed"), reason, None


def broken_certificate(well_known: Case) -> Reason:
    """Return the reason of the first hop with a broken certificate."""
    names_of_profiles = (well_known["tls"], *(step["tls"] for step in well_known["redirects"]))
    profiles = (CERTIFICATES[name] for name in names_of_profiles)
    return next(CERTIFICATE_REASONS[profile] for profile in profiles if profile != VALID)


def expected_problems(case: Case) -> Iterator[tuple[Stage, Reason]]:
    expected, result = case["expected"], expected_well_known(case)
    if result and result[0] == "failed" and result[1]:
        yield Stage.WELL_KNOWN, result[1]
    if expected.get("tls_ok") is False:
        yield Stage.TLS, Reason.CERTIFICATE_NAME_MISMATCH
    match expected["error"]:
        case "srv_service_unavailable":
            yield Stage.SRV, Reason.SRV_SERVICE_UNAVAILABLE
        case "srv_lookup_failed":
            yield Stage.SRV, Reason.DNS_FAILURE
        case "no_addresses":
            yield from unresolved(case)
    # Forbidden, but followed by homeservers, and by the probe.
    if "srv_target_is_cname" in expected.get("warnings", ()):
        yield Stage.SRV, Reason.SRV_TARGET_ALIAS


def unresolved(case: Case) -> Iterator[tuple[Stage, Reason]]:
    """An SRV record that leads to nothing is wrong too."""
    empty = any(fact.get("rcode") == "NODATA" for fact in case["dns"])
    reason = Reason.NO_ADDRESSES if empty else Reason.NXDOMAIN
    yield Stage.DNS, reason
    if "srv" in case["expected"]["step"]:
        yield Stage.SRV, reason


# ---------------------------------------------------------------- what the servers must receive


def reached_hops(case: Case, world: World) -> Iterator[tuple[str, Hop]]:
    """Yield the hops of the well-known that a peer connects to, with their addresses; a bad certificate is the last."""
    for hop in world.hops[: well_known.FOLLOWED_REDIRECTS + 1] if world.serves_well_known() else ():
        yield host_port(addresses(case, hop.host)[0], hop.port), hop
        if hop.certificate != VALID:
            return


def expected_handshakes(case: Case, world: World) -> Iterator[tuple[str, str | None]]:
    for address, hop in reached_hops(case, world):
        yield address, hop.host
    for address in case["expected"]["addresses"]:
        yield address, case["expected"]["sni"]


def expected_requests(case: Case, world: World) -> Iterator[ReceivedRequest]:
    expected = case["expected"]
    for address, hop in reached_hops(case, world):
        if hop.certificate == VALID:
            host = hop.host if hop.port == HTTPS_PORT else host_port(hop.host, hop.port)
            yield ReceivedRequest(address, hop.host, host, hop.path)
    for address in expected["addresses"] if expected.get("tls_ok") is not False else ():
        for path in (version.PATH, keys.PATH):
            yield ReceivedRequest(address, expected["sni"], expected["host_header"], path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("case", NETWORK)
async def test_discovery(case: Case, authority: Authority) -> None:
    """The report says what the case says, and the servers receive exactly the requests of the case."""
    expected, began = case["expected"], time.monotonic()
    async with World(case, authority) as world:
        report = await Prober(world.internet, TIMEOUT_SECONDS).probe(names.parse(case["server_name"]))
    elapsed = time.monotonic() - began
    assert summarize(report, target_groups(expected)) == expected_discovery(case)
    assert cache_seconds(report) == pytest.approx(
        expected["cache_seconds"], abs=EXPIRES_RESOLUTION_SECONDS + elapsed if "now" in case else 0
    )
    assert expected_warnings(expected) <= {located.warning for located in warnings(report)}
    assert world.stray_connections == (["198.51.100.1:8448"] if case["id"] in SOME_GO_ON_TO_8448 else [])
    assert world.handshakes() == set(expected_handshakes(case, world))
    assert world.requests() == set(expected_requests(case, world))


def cache_seconds(report: Report) -> int | None:
    delegation = found(report.well_known)
    return delegation.cache_seconds if delegation else None


def expected_warnings(expected: Case) -> set[WarningName]:
    return {WarningName.LEGACY_SRV_ONLY} if "deprecated_srv" in expected.get("warnings", ()) else set()


async def test_no_earlier_response_is_remembered(authority: Authority) -> None:
    """`cache-serve-stale-on-temp-failure` describes a peer that keeps an earlier response while a fetch fails. A probe
    reports what is there today: peers whose cache expires lose the server, and the alert must come before that.
    """
    case = CASES["cache-serve-stale-on-temp-failure"]
    async with World(case, authority) as world:
        report = await Prober(world.internet, TIMEOUT_SECONDS).probe(names.parse(case["server_name"]))
    assert well_known_result(report) == ("absent", Reason.CONNECT_REFUSED, None)
    assert (report.route.method, list(map(str, report.route.targets))) == (Method.DEFAULT_8448, ["example.test:8448"])
