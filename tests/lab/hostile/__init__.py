"""Hostile servers: everything that a remote server may do to the exporter, one fault each, in a table for each layer.

There are too many of them for a demo: `python -m tests.faults` probes them all.
"""

from tests.lab.hostile.dns import DNS_SERVERS
from tests.lab.hostile.documents import DOCUMENT_SERVERS
from tests.lab.hostile.http import HTTP_SERVERS
from tests.lab.hostile.keys import KEYS_SERVERS
from tests.lab.hostile.oversized import OVERSIZED_SERVERS
from tests.lab.hostile.redirects import REDIRECT_SERVERS
from tests.lab.hostile.support import SUPPORT_SERVERS
from tests.lab.hostile.tcp import TCP_SERVERS
from tests.lab.hostile.tls import TLS_SERVERS
from tests.lab.hostile.tls_certificates import CERTIFICATE_SERVERS

HOSTILE_SERVERS = (
    *DNS_SERVERS,
    *TCP_SERVERS,
    *TLS_SERVERS,
    *CERTIFICATE_SERVERS,
    *OVERSIZED_SERVERS,
    *HTTP_SERVERS,
    *REDIRECT_SERVERS,
    *DOCUMENT_SERVERS,
    *KEYS_SERVERS,
    *SUPPORT_SERVERS,
)
"""`expected` holds the problems of a probe and a deep look. `warnings` is empty, and no test compares it."""
