"""All servers of the lab."""

from exporter.demo.federation import SERVERS
from tests.lab.bad_responses import MISANSWERED_SERVERS
from tests.lab.notaries import NOTARISED_SERVERS
from tests.lab.unreachable import UNREACHED_SERVERS
from tests.lab.warned import WARNED_SERVERS

EVERY_SERVER = SERVERS + UNREACHED_SERVERS + MISANSWERED_SERVERS + WARNED_SERVERS + NOTARISED_SERVERS
"""Whatever the exporter has a name for is shown by one of them."""
