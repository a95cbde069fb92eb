"""Who answers in the homeserver's place."""

import pytest

from exporter.model.outcomes import Intermediary
from exporter.probing.evidence import HttpResponse
from exporter.probing.parsing.intermediaries import find


def named(status: int, **headers: str) -> str | None:
    """Return who answers, with what shows it."""
    seen = HttpResponse(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), b"")
    found = find(seen)
    return str(found) if found else None


@pytest.mark.parametrize("status", [200, 403, 404, 503])
@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"server": "cloudflare", "cf_mitigated": "challenge"}, "Cloudflare (cf-mitigated: challenge)"),
        ({"x_sucuri_block": "GEO"}, "Sucuri (x-sucuri-block: GEO)"),
        ({"x_amzn_waf_action": "captcha"}, "AWS WAF (x-amzn-waf-action: captcha)"),
        ({"set_cookie": "techaro.lol-anubis-auth=x"}, "Anubis (set-cookie: techaro.lol-anubis-auth=x)"),
    ],
)
def test_some_headers_come_only_with_an_answer_of_its_own(status: int, headers: dict[str, str], name: str) -> None:
    """The status does not matter: a challenge may have 200."""
    assert named(status, **headers) == name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"server": "cloudflare"}, "Cloudflare (server: cloudflare)"),
        ({"cf_ray": "8a1-FRA"}, "Cloudflare (cf-ray: 8a1-FRA)"),
        ({"x_sucuri_id": "15001"}, "Sucuri (x-sucuri-id: 15001)"),
        ({"x_amz_cf_id": "abc=="}, "Amazon CloudFront (x-amz-cf-id: abc==)"),
        ({"server": "AkamaiGHost"}, "Akamai (server: AkamaiGHost)"),
        ({"via": "1.1 squid"}, "a proxy (via: 1.1 squid)"),
        ({"server": "nginx"}, None),
    ],
)
def test_others_come_with_every_response(headers: dict[str, str], name: str | None) -> None:
    """They show who answers where the status is that of a filter, and not where the homeserver may have answered."""
    assert {named(status, **headers) for status in (403, 406, 429, 503)} == {name}
    assert {named(status, **headers) for status in (200, 301, 401, 404, 500, 502, 504)} == {None}


@pytest.mark.parametrize(
    ("status", "headers", "name"),
    [
        (525, {"server": "cloudflare"}, "Cloudflare (status 525: its TLS handshake with the server behind it fails)"),
        (520, {}, "Cloudflare (status 520: it does not reach the server behind it)"),
        (529, {}, None),
        (421, {}, "a reverse proxy (status 421: SNI or Host does not match)"),
        (421, {"server": "cloudflare"}, "Cloudflare (status 421: SNI or Host does not match)"),
        (200, {"content_encoding": "gzip"}, "a proxy that compresses (content-encoding: gzip)"),
        (200, {"content_encoding": "br", "server": "cloudflare"}, "Cloudflare (server: cloudflare)"),
        (200, {"content_encoding": "identity"}, None),
    ],
)
def test_some_answers_speak_for_themselves(status: int, headers: dict[str, str], name: str | None) -> None:
    """No header is needed."""
    assert named(status, **headers) == name


def test_what_is_shown_is_bounded_and_printable() -> None:
    """A remote server chose it."""
    seen = HttpResponse(403, (("cf-mitigated", "\x1b" + "x" * 60_000),), b"")
    assert find(seen) == Intermediary("Cloudflare", "cf-mitigated: �" + "x" * 44 + "…")
