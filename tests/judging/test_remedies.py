"""What to do about a problem, in view of the whole report."""

from dataclasses import replace

import pytest

from exporter.judging.remedies import BY_STATUS, FOLLOWS_FROM_WELL_KNOWN, of_stage, remedy
from exporter.judging.warnings import WarningName, warnings
from exporter.model.enums import Means, Stage
from exporter.model.findings import Delegation, SigningKeys
from exporter.model.outcomes import (
    SKIPPED,
    Failed,
    Intermediary,
    Passed,
    Problem,
    ResponseSummary,
    UnexpectedResponse,
)
from exporter.model.reasons import Reason
from exporter.model.report import Answers, EndpointDeepLook, EndpointReport, LocatedProblem, Report, SecondLook
from tests.sample_reports import delegated_by_well_known, healthy_at, with_endpoints

CLOUDFLARE = Intermediary("Cloudflare", "cf-mitigated: challenge")
REACHED, PAGE = ResponseSummary(401, "M_UNAUTHORIZED"), ResponseSummary(403, None)
REFUSED = Problem(Reason.CONNECT_REFUSED, "Connection refused")


def unexpected(response: ResponseSummary, reason: Reason = Reason.HTTP_STATUS) -> UnexpectedResponse:
    return UnexpectedResponse(reason, f"status {response.status}", response)


def without_keys(response: ResponseSummary, deep: EndpointDeepLook | None = None) -> Report:
    keys: Failed[SigningKeys] = Failed(0.1, (unexpected(response),))
    return with_endpoints(replace(healthy_at("192.0.2.1"), keys=keys, deep=deep))


def at(report: Report, stage: Stage, problem: Problem) -> str:
    return remedy(report, LocatedProblem(stage, report.endpoints[0].endpoint, problem))


def for_keys(response: ResponseSummary) -> str:
    return at(without_keys(response), Stage.KEYS, unexpected(response))


# ---------------------------------------------------------------- who answers


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_without_a_homeserver_says_that_it_is_down(status: int) -> None:
    """It forwards the keys, so that is not what has to be done."""
    text = for_keys(ResponseSummary(status, None))
    assert text.startswith("The homeserver behind the reverse proxy is down")
    assert "forward" not in text


@pytest.mark.parametrize("response", [ResponseSummary(404, None), ResponseSummary(404, "M_UNRECOGNIZED"), PAGE])
def test_without_a_telling_status_the_reason_says_what_to_do(response: ResponseSummary) -> None:
    assert for_keys(response) == of_stage(Stage.KEYS, Reason.HTTP_STATUS)


@pytest.mark.parametrize("status", [502, 421])
def test_an_error_of_the_homeserver_is_its_own(status: int) -> None:
    """A status says something only about what answers in its place."""
    assert for_keys(ResponseSummary(status, "M_UNKNOWN")) == of_stage(Stage.KEYS, Reason.HTTP_STATUS)


@pytest.mark.parametrize("status", [200, 403, 429, 503])
def test_an_intermediary_is_what_has_to_be_changed(status: int) -> None:
    """The homeserver does not even get the request."""
    assert for_keys(ResponseSummary(status, None, CLOUDFLARE)) == WarningName.INTERMEDIARY.remedy


@pytest.mark.parametrize("status", [421, 502, 520, 525, 526])
def test_a_telling_status_of_an_intermediary_says_more(status: int) -> None:
    """It names the fault."""
    assert for_keys(ResponseSummary(status, None, CLOUDFLARE)) == BY_STATUS[status]


def test_a_gateway_at_the_well_known_is_not_about_the_homeserver() -> None:
    """It is another web server."""
    report = delegated_by_well_known()
    problem = unexpected(ResponseSummary(502, None))
    located = LocatedProblem(Stage.WELL_KNOWN, None, problem)
    assert remedy(report, located) == of_stage(Stage.WELL_KNOWN, Reason.HTTP_STATUS)


# ---------------------------------------------------------------- filters of user agents


def filtered(
    ours: ResponseSummary | None, theirs: ResponseSummary | None, means: Means = Means.HOMESERVER_AGENT
) -> Report:
    second = SecondLook(means, Answers(directory=theirs))
    return without_keys(PAGE, EndpointDeepLook(directory=ours, second=second))


def test_a_filter_lets_homeservers_pass() -> None:
    """Then peers get through, and only the exporter does not."""
    report = filtered(PAGE, REACHED)
    assert at(report, Stage.KEYS, unexpected(PAGE)).startswith("A filter lets Synapse pass")
    assert [located.detail for located in warnings(report) if located.warning is WarningName.INTERMEDIARY] == [
        "192.0.2.1:443: a filter lets only the User-Agent of a homeserver pass"
    ]


@pytest.mark.parametrize(
    "report",
    [
        filtered(PAGE, PAGE),
        filtered(PAGE, None),
        filtered(REACHED, REACHED),
        filtered(PAGE, REACHED, Means.UNVERIFIED),
        without_keys(PAGE),
    ],
    ids=["blocks everybody", "silent", "the homeserver's own refusal", "another look", "no look"],
)
def test_without_a_difference_there_is_no_filter(report: Report) -> None:
    """The status alone does not show it."""
    assert at(report, Stage.KEYS, unexpected(PAGE)) == of_stage(Stage.KEYS, Reason.HTTP_STATUS)
    assert WarningName.INTERMEDIARY not in [located.warning for located in warnings(report)]


# ---------------------------------------------------------------- what follows from a broken well-known


def fallen_back(well_known: Reason, *endpoints: EndpointReport) -> Report:
    failed: Failed[Delegation] = Failed(0.1, (Problem(well_known, "broken"),))
    return replace(with_endpoints(*endpoints), well_known=failed)


NOTHING_THERE = replace(
    healthy_at("192.0.2.1"), tcp=Failed(0.1, (REFUSED,)), tls=SKIPPED, version=SKIPPED, keys=SKIPPED
)
OF_PORT = of_stage(Stage.TCP, Reason.CONNECT_REFUSED)


def test_nothing_has_to_be_started_where_peers_only_fall_back_to() -> None:
    """The cause is the well-known."""
    report = fallen_back(Reason.CERTIFICATE_EXPIRED, NOTHING_THERE)
    assert at(report, Stage.TCP, REFUSED) == FOLLOWS_FROM_WELL_KNOWN
    other_site = Problem(Reason.CERTIFICATE_NAME_MISMATCH, "www")
    assert at(report, Stage.TLS, other_site) == FOLLOWS_FROM_WELL_KNOWN


def test_the_well_known_keeps_its_own_remedy() -> None:
    """It is the cause."""
    report = fallen_back(Reason.CERTIFICATE_EXPIRED, NOTHING_THERE)
    located = LocatedProblem(Stage.WELL_KNOWN, None, Problem(Reason.CERTIFICATE_EXPIRED, "expired"))
    assert remedy(report, located) == of_stage(Stage.WELL_KNOWN, Reason.CERTIFICATE_EXPIRED)


@pytest.mark.parametrize(
    "report",
    [
        with_endpoints(NOTHING_THERE),
        fallen_back(Reason.CONNECT_TIMEOUT, NOTHING_THERE),
        fallen_back(Reason.CERTIFICATE_EXPIRED, NOTHING_THERE, healthy_at("192.0.2.2")),
    ],
    ids=["the well-known works", "the web server is out of reach too", "another address works"],
)
def test_otherwise_the_port_is_what_has_to_be_repaired(report: Report) -> None:
    """The well-known is not the cause."""
    assert at(report, Stage.TCP, REFUSED) == OF_PORT


def test_a_homeserver_that_is_there_has_to_be_repaired() -> None:
    """Somebody meant it for peers."""
    expired = Problem(Reason.CERTIFICATE_EXPIRED, "expired")
    report = fallen_back(Reason.HTTP_STATUS, replace(healthy_at("192.0.2.1"), tls=Failed(0.1, (expired,))))
    assert at(report, Stage.TLS, expired) == of_stage(Stage.TLS, Reason.CERTIFICATE_EXPIRED)


# ---------------------------------------------------------------- the warning


def test_an_intermediary_is_named_once_with_all_its_stages() -> None:
    """Its headers differ from one response to the next."""
    first, second = (ResponseSummary(403, None, Intermediary("Cloudflare", f"cf-ray: {ray}")) for ray in "ab")
    endpoint = replace(
        healthy_at("192.0.2.1"), version=Failed(0.1, (unexpected(first),)), keys=Failed(0.1, (unexpected(second),))
    )
    assert [located.detail for located in warnings(with_endpoints(endpoint)) if located.warning == "intermediary"] == [
        "Cloudflare (cf-ray: a) answers in the homeserver's place, or changes its answers: version, keys"
    ]


def test_who_passes_everything_on_is_no_intermediary() -> None:
    assert isinstance(healthy_at("192.0.2.1").keys, Passed)
    assert warnings(with_endpoints(healthy_at("192.0.2.1"))) == ()
