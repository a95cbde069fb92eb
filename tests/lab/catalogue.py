"""All servers of the lab."""

from exporter.demo.federation import SERVERS
from tests.lab.bad_responses import BAD_RESPONSE_SERVERS
from tests.lab.notaries import NOTARY_SERVERS
from tests.lab.unreachable import UNREACHABLE_SERVERS
from tests.lab.with_warnings import WARNING_SERVERS

EVERY_SERVER = SERVERS + UNREACHABLE_SERVERS + BAD_RESPONSE_SERVERS + WARNING_SERVERS + NOTARY_SERVERS
"""Whatever the exporter has a name for is shown by one of them."""
