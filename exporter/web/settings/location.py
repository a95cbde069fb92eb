"""Where the site is, for clients and behind a reverse proxy: `--web.external-url` and `--web.route-prefix`."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from exporter.config.addresses import parse_base_url

_PLAIN_PATH = re.compile("[A-Za-z0-9._~/-]*")  # the same with and without percent-encoding


@dataclass(frozen=True, slots=True)
class Location:
    """By default, clients find the site at the addresses that the exporter listens on."""

    url: str = ""
    """The absolute URL of the site, with a slash at its end; empty if it is not known."""
    prefix: str = ""
    """The path below which requests arrive, such as `/matrix`; empty if they arrive as they are."""

    @classmethod
    def parse(cls, external_url: str | None, route_prefix: str | None) -> Self:
        """Return the location. As in other exporters, the prefix is the path of the URL unless it is given.

        Raises ValueError.
        """
        url = external_url and parse_base_url(external_url)
        path = urlsplit(url or "").path if route_prefix is None else route_prefix
        if not _PLAIN_PATH.fullmatch(path) or "//" in path:
            raise ValueError(f"expected a path of letters, digits and . _ ~ - such as /matrix, found {path!r}")
        return cls(f"{url}/" if url else "", f"/{path.strip('/')}".rstrip("/"))
