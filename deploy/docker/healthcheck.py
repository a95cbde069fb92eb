"""Exit with status 0 if a GET of the URL succeeds, and with 1 and the reason if it fails: the image has no curl.

Certificates are not verified, as in the health checks of Kubernetes: the host of the URL is never the one in public.
"""

import ssl
import sys
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

SECONDS = 5.0


def main(url: str) -> str | None:
    """Return why the exporter is not healthy, or None if it is healthy."""
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=unverified))  # `http_proxy` is not for this container
    try:
        opener.open(url, timeout=SECONDS).close()
    except OSError as error:
        return f"{url}: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
