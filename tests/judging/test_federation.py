"""The verdict in three grades."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.judging import verdict
from exporter.judging.verdict import Federation
from exporter.model.enums import Oddity
from exporter.model.findings import SigningKeys
from exporter.model.outcomes import Failed, Problem, ResponseSummary
from exporter.model.reasons import Reason
from exporter.model.report import EndpointDeepLook, Report
from tests.sample_reports import (
    ENDED_AT,
    MATRIX_443,
    MATRIX_ENDPOINT,
    delegated_by_well_known,
    expired_certificate,
    healthy,
    healthy_at,
    nothing_resolved,
    tls_session,
    with_deep_look,
    with_endpoints,
    with_keys,
)


def with_cipher(cipher: str) -> Report:
    session = replace(tls_session(MATRIX_443.host, tls_version="TLSv1.2"), cipher=cipher)
    return with_endpoints(healthy(MATRIX_ENDPOINT, session))


def with_oddity(oddity: Oddity) -> Report:
    keys = SigningKeys(
        {"ed25519:a": "a"}, ENDED_AT + timedelta(days=1), "application/json", oddities=frozenset({oddity})
    )
    return with_endpoints(with_keys(healthy_at("192.0.2.1"), keys))


def not_forwarded() -> Report:
    refused = ResponseSummary(404, None)
    proxy: Failed[None] = Failed(0.1, (Problem(Reason.NOT_FORWARDED, str(refused)),))
    return with_endpoints(replace(healthy_at("192.0.2.1"), deep=EndpointDeepLook(proxy, directory=refused)))


@pytest.mark.parametrize(
    ("report", "federation"),
    [
        (delegated_by_well_known(), Federation.FULL),
        (with_deep_look(), Federation.FULL),
        (with_cipher("ECDHE-RSA-AES128-SHA"), Federation.PARTIAL),  # not for the Conduit family
        (with_cipher("AES128-GCM-SHA256"), Federation.PARTIAL),  # only for Synapse
        (with_oddity(Oddity.GZIPPED), Federation.PARTIAL),  # not for Synapse
        (with_deep_look(Problem(Reason.PATH_DECODED, "decoded")), Federation.PARTIAL),
        (with_oddity(Oddity.BYTE_ORDER_MARK), Federation.NONE),  # only for the Conduit family
        (not_forwarded(), Federation.NONE),
        (expired_certificate(), Federation.NONE),
        (nothing_resolved(), Federation.NONE),
    ],
)
def test_federation_has_three_grades(report: Report, federation: Federation) -> None:
    """It is partial if Synapse or Dendrite gets through, but not everybody, or not with every request."""
    assert verdict.federation(report) is federation
