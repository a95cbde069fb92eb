import pytest

from exporter.metrics.negotiation import Preference, parse_preferences, wants_gzip, wants_openmetrics

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def test_reads_names_parameters_and_weights() -> None:
    """Case, blanks and quotes are ignored."""
    header = 'Text/Plain ; Version="0.0.4"; q=0.5, */*;Q=0'
    assert list(parse_preferences(header)) == [
        Preference("text/plain", {"version": "0.0.4"}, 0.5),
        Preference("*/*", {}, 0),
    ]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ",",
        ";",
        "=;=",
        "a;q=nan",
        "a;q=inf",
        "a;q=2",
        "a;q=-1",
        "a;q=",
        "a;q=0,5;",
        'a;b="c,d";q=x',
        "\x00;q=\ud800",
    ],
)
def test_never_fails(header: str | None) -> None:
    """An invalid header selects the text format without compression."""
    assert all(0 <= preference.weight <= 1 for preference in parse_preferences(header))
    assert (wants_openmetrics(header), wants_gzip(header)) == (False, False)


@pytest.mark.parametrize(
    "accept",
    [
        PROMETHEUS_2_42,
        PROMETHEUS_3,
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "text/plain, application/openmetrics-text",
        "application/openmetrics-text;q=0.4, text/plain;q=0.3, */*;q=0.9",
        "application/openmetrics-text;q=0.1, text/plain;version=1.0.0;q=0.9",
    ],
)
def test_selects_openmetrics_if_the_client_prefers_it(accept: str) -> None:
    """The client must name it. A wildcard counts for text only if text is not named."""
    assert wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "text/plain",
        "*/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "application/openmetrics-text;q=0",
        "application/openmetrics-text;q=0.4, text/plain;q=0.5",
        "application/openmetrics-text;q=0.4, text/*;q=0.5",
        "application/openmetrics-text;q=high",
    ],
)
def test_selects_text_otherwise(accept: str) -> None:
    """The client accepts other versions or other types, or prefers text."""
    assert not wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept_encoding", ["gzip", "deflate, GZIP;q=0.5", "*", "br;q=1.0, *;q=0.5", "gzip;q=1, identity"]
)
def test_selects_gzip_if_the_client_accepts_it(accept_encoding: str) -> None:
    """The client names it, or sends a wildcard."""
    assert wants_gzip(accept_encoding)


@pytest.mark.parametrize(
    "accept_encoding",
    ["gzip;q=0", "gzip;q=0.000", "identity", "deflate", "gzip;q=0, *", "*;q=0", "gzip;q=0.5, identity;q=0.9"],
)
def test_selects_no_gzip_otherwise(accept_encoding: str) -> None:
    """The client refuses it, or prefers no compression."""
    assert not wants_gzip(accept_encoding)
