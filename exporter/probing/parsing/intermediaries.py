"""What stands between peers and a homeserver, by what shows it when it answers in the homeserver's place. Pure."""

from dataclasses import dataclass
from typing import Final

from exporter.model.outcomes import FILTER_STATUSES, Intermediary
from exporter.model.sanitize import printable
from exporter.probing.evidence import HttpResponse

_MAX_CHARACTERS = 60  # of a header that is shown
_MISDIRECTED = 421
_CLOUDFLARE_STATUSES: Final = {
    **dict.fromkeys((*range(520, 525), 527, 530), "it does not reach the server behind it"),
    525: "its TLS handshake with the server behind it fails",
    526: "the certificate of the server behind it is not valid",
}
"""Only Cloudflare sends them; with what each means."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """A header, in lower case, whose value contains a text, also in lower case."""

    header: str
    contains: str
    name: str
    """Who sends it."""


# Sent with an answer of its own, whatever its status: a challenge, or a page that says that the request was blocked.
_ANSWERS: Final = (
    _Sign("cf-mitigated", "", "Cloudflare"),
    _Sign("x-sucuri-block", "", "Sucuri"),
    _Sign("x-amzn-waf-action", "", "AWS WAF"),
    _Sign("x-datadome", "", "DataDome"),
    _Sign("set-cookie", "techaro.lol-anubis", "Anubis"),
)

# Sent with every response that passes through: it shows who answers only where the status is that of a filter.
_PASSES: Final = (
    _Sign("server", "cloudflare", "Cloudflare"),
    _Sign("cf-ray", "", "Cloudflare"),
    _Sign("x-sucuri-id", "", "Sucuri"),
    _Sign("x-amz-cf-id", "", "Amazon CloudFront"),
    _Sign("server", "awselb", "an AWS load balancer"),
    _Sign("server", "akamai", "Akamai"),
    _Sign("server", "ddos-guard", "DDoS-Guard"),
    _Sign("server", "bunnycdn", "bunny.net"),
    _Sign("server", "crowdsec", "CrowdSec"),
    _Sign("x-iinfo", "", "Imperva"),
    _Sign("x-azure-ref", "", "Azure Front Door"),
    _Sign("x-served-by", "cache-", "Fastly"),
    _Sign("x-vercel-id", "", "Vercel"),
    _Sign("via", "", "a proxy"),
)


def find(response: HttpResponse) -> Intermediary | None:
    """Return who answers a request in the homeserver's place. There are six cases:

    - a header is sent only with such an answer: who sends it;
    - only Cloudflare sends the status: Cloudflare;
    - status 421, Misdirected Request: whoever is named, or else a reverse proxy;
    - the body is compressed, although the request does not accept that: whoever is named, or else something;
    - the status is that of a filter: whoever is named;
    - otherwise nobody.
    """
    if own := _find_sign(response, _ANSWERS):
        return own
    named = _find_sign(response, _PASSES)
    if meaning := _CLOUDFLARE_STATUSES.get(response.status):
        return Intermediary("Cloudflare", f"status {response.status}: {meaning}")
    if response.status == _MISDIRECTED:
        return Intermediary(named.name if named else "a reverse proxy", "status 421: SNI or Host does not match")
    if encoding := response.content_encoding:
        return named or Intermediary("a proxy that compresses", _show("content-encoding", encoding))
    return named if response.status in FILTER_STATUSES else None


def _find_sign(response: HttpResponse, signs: tuple[_Sign, ...]) -> Intermediary | None:
    for sign in signs:
        value = response.header(sign.header)
        if value is not None and sign.contains in value.lower():
            return Intermediary(sign.name, _show(sign.header, value))
    return None


def _show(header: str, value: str) -> str:
    return printable(f"{header}: {value}", _MAX_CHARACTERS)
