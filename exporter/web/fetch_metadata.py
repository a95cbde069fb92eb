"""Recognizes requests that a page of another site made a browser send.

Browsers describe the origin of a request in headers (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/).
"""

from typing import Final

from starlette.datastructures import Headers

_SAME_SITE_VALUES: Final = ("same-origin", "none")  # none: the user entered the address, or used a bookmark
_SAFE_METHODS: Final = ("GET", "HEAD")
_SCHEMES: Final = ("http", "https")
_PREFLIGHT: Final = "OPTIONS"


def is_cors_read(method: str, headers: Headers) -> bool:
    """Whether a script wants to read a response, or its browser asks whether it may (a preflight request).

    Where all origins are allowed, browsers only hand over responses that need no password. Images, frames and other
    means of embedding a response are not meant.
    """
    return method in (*_SAFE_METHODS, _PREFLIGHT) and headers.get("sec-fetch-mode", "cors") == "cors"


def is_image(method: str, headers: Headers) -> bool:
    """Whether a page shows the response as an image, which its scripts cannot read."""
    return method in _SAFE_METHODS and headers.get("sec-fetch-dest") == "image" and "origin" not in headers


def is_own_form(method: str, headers: Headers) -> bool:
    """Whether a browser sends a form of a page that has the exporter's own origin. There are two cases:

    - Over https, and to localhost, the browser says where the page is from.
    - Otherwise it names the origin, which must be the host that the request is for. (With the referrer policy
      `no-referrer` it would not do so.)

    This does not prove whose page it is, because another site can make its own name resolve to this address. So it only
    protects what such a page could do with a safe method, too.
    """
    if method != "POST":
        return False
    if site := headers.get("sec-fetch-site"):
        return site == _SAME_SITE_VALUES[0]
    return headers.get("origin", "") in {f"{scheme}://{headers.get('host')}" for scheme in _SCHEMES}


def is_cross_site(method: str, headers: Headers) -> bool:
    """Whether a browser must be refused. There are four cases:

    - The request has none of these headers, as those of Prometheus and other programs: it is allowed.
    - The method may change something: every browser is refused, even on a page of the exporter itself. `Host` does not
      prove whose page it is, because another site can make its own name resolve to this address (DNS rebinding).
    - A page of another site, with a safe method: only following a link is allowed.
    - The exporter's own site, or none, with a safe method: it is allowed unless it claims another origin.
    """
    site, origin = headers.get("sec-fetch-site", _SAME_SITE_VALUES[0]), headers.get("origin")
    if method not in _SAFE_METHODS:
        return origin is not None or "sec-fetch-site" in headers
    follows_link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return not follows_link if site not in _SAME_SITE_VALUES else origin is not None
