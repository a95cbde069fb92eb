"""Exit with status 0 if a GET of the URL succeeds, and with 1 and the reason if it fails: the image has no curl."""

import sys
from urllib.request import urlopen

SECONDS = 5.0


def main(url: str) -> str | None:
    """Return why the exporter is not healthy, or None if it is healthy."""
    try:
        urlopen(url, timeout=SECONDS).close()  # noqa: S310 -- the URL comes from the Dockerfile
    except OSError as error:
        return f"{url}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
