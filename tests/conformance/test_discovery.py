"""The conformance cases of server discovery, all of them, one test each.

The grammar is asked of `names` and `routes`, everything else of the code that probes, over real DNS messages and real
https on loopback.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from exporter.demo.authority import Authority, CertificateState
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
from tests.conformance.world import HTTPS_PORT, TIMEOUT_SECONDS, Arrival, Case, Hop, World, addresses

CASES: Final[dict[str, Case]] = {
    case["id"]: case for case in yaml.safe_load(Path(__file__).with_name("discovery.yaml").read_bytes())["cases"]
}

# Where we decided otherwise; each has a test of its own below, which says why.
ARGUED = {"g-trailing-dot", "cache-serve-stale-on-temp-failure"}

GRAMMAR = [
    pytest.param(case, id=name) for name, case in CASES.items() if case["group"] == "grammar" and name not in ARGUED
]
NETWORK = [
    pytest.param(case, id=name) for name, case in CASES.items() if case["group"] != "grammar" and name not in ARGUED
]

EXPIRES_TOLERANCE_SECONDS = 3  # the header counts in whole seconds

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
    CertificateState.UNTRUSTED: Reason.CERTIFICATE_UNTRUSTED,
    CertificateState.EXPIRED: Reason.CERTIFICATE_EXPIRED,
    CertificateState.WRONG_NAME: Reason.CERTIFICATE_NAME_MISMATCH,
}
NOBODY_THERE = {Reason.CONNECT_REFUSED, Reason.NXDOMAIN}


def test_runs_every_case() -> None:
    assert len(GRAMMAR) + len(NETWORK) + len(ARGUED) == len(CASES) == 139


# ---------------------------------------------------------------- grammar


@pytest.mark.parametrize("case", GRAMMAR)
def test_grammar(case: Case) -> None:
    """A server name is read as the grammar says, or refused; an accepted one leads where it says without any help."""
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


def test_refuses_a_dot_at_the_end() -> None:
    """`g-trailing-dot` is ambiguous: the bare grammar admits it, Synapse refuses it. A name that part of the network
    cannot talk to is no name to run a server under, and as one to watch it is most likely a slip.
    """
    with pytest.raises(names.InvalidServerNameError, match="remove the extra dot"):
        names.parse(CASES["g-trailing-dot"]["server_name"])


# ---------------------------------------------------------------- everything else: what the report should say


@dataclass(frozen=True, slots=True)
class Discovered:
    method: Method
    targets: tuple[frozenset[str], ...]
    """Those within a set are interchangeable."""
    host_header: str
    sni: str | None
    tls_name: str
    endpoints: frozenset[str]
    well_known: tuple[str, Reason | None, str | None] | None
    """Outcome, reason and `m.server`."""
    problems: frozenset[tuple[Stage, Reason]]
    federates: bool


def discovered(report: Report, groups: list[list[str]]) -> Discovered:
    targets, route = iter(map(str, report.route.targets)), report.route
    in_groups = tuple(frozenset(next(targets) for _ in group) for group in groups)
    return Discovered(
        method=route.method,
        targets=(*in_groups, *(frozenset({target}) for target in targets)),
        host_header=route.host_header,
        sni=route.sni,
        tls_name=route.tls_name,
        endpoints=frozenset(endpoint.endpoint.address for endpoint in report.endpoints),
        well_known=well_known_answer(report),
        problems=frozenset((located.stage, located.problem.reason) for located in verdict.problems(report)),
        federates=verdict.federates(report),
    )


def well_known_answer(report: Report) -> tuple[str, Reason | None, str | None] | None:
    delegation = found(report.well_known)
    if delegation is None:
        return None
    if delegation.server:
        return "valid", None, delegation.server.text
    if isinstance(report.well_known, Passed):
        return "absent", delegation.absent_because, None
    return "failed", next(p.problem.reason for p in verdict.problems(report) if p.stage is Stage.WELL_KNOWN), None


def expected_discovery(case: Case) -> Discovered:
    expected = case["expected"]
    answer, problems = expected_well_known(case), frozenset(expected_problems(case))
    return Discovered(
        method=Method(expected["step"]),
        targets=tuple(frozenset(group) for group in target_groups(expected)),
        host_header=expected["host_header"],
        sni=expected["sni"],
        tls_name=expected["cert_name"],
        endpoints=frozenset(expected["addresses"]),
        well_known=answer,
        problems=problems,
        # a broken well-known is survived, everything else is not
        federates=all(stage is Stage.WELL_KNOWN for stage, _ in problems),
    )


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
    absent = reason in NOBODY_THERE or case["well_known"]["status"] == 404
    return ("absent" if absent else "failed"), reason, None


def broken_certificate(answer: Case) -> Reason:
    """Of the first hop that has one."""
    states = (answer["tls"], *(step["tls"] for step in answer["redirects"]))
    return next(CERTIFICATE_REASONS[state] for state in states if state != CertificateState.VALID)


def expected_problems(case: Case) -> Iterator[tuple[Stage, Reason]]:
    expected, answer = case["expected"], expected_well_known(case)
    if answer and answer[0] == "failed" and answer[1]:
        yield Stage.WELL_KNOWN, answer[1]
    if expected.get("tls_ok") is False:
        yield Stage.TLS, Reason.CERTIFICATE_NAME_MISMATCH
    match expected["error"]:
        case "srv_service_unavailable":
            yield Stage.SRV, Reason.SRV_SERVICE_UNAVAILABLE
        case "srv_lookup_failed":
            yield Stage.SRV, Reason.DNS_FAILURE
        case "no_addresses":
            yield from unresolved(case)
    # Forbidden, but followed by some servers: we look at where it leads, and do not count it as federating.
    if "srv_target_is_cname" in expected.get("warnings", ()):
        yield Stage.SRV, Reason.SRV_TARGET_ALIAS


def unresolved(case: Case) -> Iterator[tuple[Stage, Reason]]:
    """Where an SRV record leads to nothing, the record is wrong, too."""
    empty = any(fact.get("rcode") == "NODATA" for fact in case["dns"])
    reason = Reason.NO_ADDRESSES if empty else Reason.NXDOMAIN
    yield Stage.DNS, reason
    if "srv" in case["expected"]["step"]:
        yield Stage.SRV, reason


# ---------------------------------------------------------------- and what should arrive


def met(case: Case, world: World) -> Iterator[tuple[str, Hop]]:
    """The hops of the well-known that a peer comes to greet, each with its place; a bad certificate is the last."""
    for hop in world.hops[: well_known.MAX_REDIRECTS + 1] if world.well_known_answers() else ():
        yield host_port(addresses(case, hop.host)[0], hop.port), hop
        if hop.state is not CertificateState.VALID:
            return


def expected_greetings(case: Case, world: World) -> Iterator[tuple[str, str | None]]:
    for place, hop in met(case, world):
        yield place, hop.host
    for place in case["expected"]["addresses"]:
        yield place, case["expected"]["sni"]


def expected_arrivals(case: Case, world: World) -> Iterator[Arrival]:
    expected = case["expected"]
    for place, hop in met(case, world):
        if hop.state is CertificateState.VALID:
            host = hop.host if hop.port == HTTPS_PORT else host_port(hop.host, hop.port)
            yield Arrival(place, hop.host, host, hop.path)
    for place in expected["addresses"] if expected.get("tls_ok") is not False else ():
        for path in (version.PATH, keys.PATH):
            yield Arrival(place, expected["sni"], expected["host_header"], path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("case", NETWORK)
async def test_discovery(case: Case, authority: Authority) -> None:
    """The report says what the case says, and nothing arrives on the wire that the case does not ask for."""
    expected = case["expected"]
    async with World(case, authority) as world:
        report = await Prober(world.internet, TIMEOUT_SECONDS).probe(names.parse(case["server_name"]))
    assert discovered(report, target_groups(expected)) == expected_discovery(case)
    assert cache_seconds(report) == pytest.approx(
        expected["cache_seconds"], abs=EXPIRES_TOLERANCE_SECONDS if "now" in case else 0
    )
    assert expected_warnings(expected) <= {located.warning for located in warnings(report)}
    assert world.strays == []
    assert world.greetings() == set(expected_greetings(case, world))
    assert world.arrivals() == set(expected_arrivals(case, world))


def cache_seconds(report: Report) -> int | None:
    delegation = found(report.well_known)
    return delegation.cache_seconds if delegation else None


def expected_warnings(expected: Case) -> set[WarningName]:
    return {WarningName.LEGACY_SRV_ONLY} if "deprecated_srv" in expected.get("warnings", ()) else set()


async def test_remembers_no_earlier_answer(authority: Authority) -> None:
    """`cache-serve-stale-on-temp-failure` describes a peer that keeps an earlier answer while a fetch fails. A probe
    tells what is there today: peers whose memory runs out lose the server, and the alert has to come before.
    """
    case = CASES["cache-serve-stale-on-temp-failure"]
    async with World(case, authority) as world:
        report = await Prober(world.internet, TIMEOUT_SECONDS).probe(names.parse(case["server_name"]))
    assert well_known_answer(report) == ("absent", Reason.CONNECT_REFUSED, None)
    assert (report.route.method, list(map(str, report.route.targets))) == (Method.DEFAULT_8448, ["example.test:8448"])
