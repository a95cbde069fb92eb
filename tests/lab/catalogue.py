"""All servers of the lab except the hostile ones."""

from exporter.demo.both_ways.servers import BOTH_WAYS_SERVERS
from exporter.demo.federation import SERVERS
from tests.lab.bad_responses import BAD_RESPONSE_SERVERS
from tests.lab.notaries import NOTARY_SERVERS
from tests.lab.unreachable import UNREACHABLE_SERVERS
from tests.lab.with_warnings import WARNING_SERVERS

EVERY_SERVER = SERVERS + UNREACHABLE_SERVERS + BAD_RESPONSE_SERVERS + WARNING_SERVERS + NOTARY_SERVERS
"""All that need nothing of the exporter but its probes."""
WITH_BOTH_WAYS = EVERY_SERVER + BOTH_WAYS_SERVERS
"""Every reason and every warning of the exporter is shown by one of them."""
