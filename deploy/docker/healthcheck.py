"""Exit with status 0 if a GET of the URL succeeds, and with 1 and the reason if it fails: the image has no curl."""

import sys
from urllib.request import ProxyHandler, build_opener

SECONDS = 5.0


def main(url: str) -> str | None:
    """Return why the exporter is not healthy, or None if it is healthy."""
    try:
        build_opener(ProxyHandler({})).open(url, timeout=SECONDS).close()  # `http_proxy` is not for this container
    except OSError as error:
        return f"{url}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
