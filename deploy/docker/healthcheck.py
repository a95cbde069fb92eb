"""Exit status 0 where the URL answers with a success, else 1 with the reason: the image has no curl to ask with."""

import sys
from urllib.request import urlopen

SECONDS = 5.0


def main(url: str) -> str | None:
    """Why the exporter is not healthy; None where it is."""
    try:
        urlopen(url, timeout=SECONDS).close()  # noqa: S310 -- the URL stands in the Dockerfile
    except OSError as error:
        return f"{url}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
