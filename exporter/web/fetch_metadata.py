"""Which requests a page of somebody else made a browser send (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/)."""

from typing import Final

from starlette.datastructures import Headers

_SAME_SITE_VALUES: Final = ("same-origin", "none")  # none: typed in, or a bookmark
_SAFE_METHODS: Final = ("GET", "HEAD")


def is_cross_site(method: str, headers: Headers) -> bool:
    """Scrapers and programs send none of these headers.

    Links to the exporter work from everywhere, and nothing else does. What changes something is not for browsers at
    all: `Host` tells nothing about whose page it is, for a page's own name may point here (DNS rebinding).
    """
    site, origin = headers.get("sec-fetch-site", _SAME_SITE_VALUES[0]), headers.get("origin")
    if method not in _SAFE_METHODS:
        return origin is not None or "sec-fetch-site" in headers
    follows_link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return not follows_link if site not in _SAME_SITE_VALUES else origin is not None
