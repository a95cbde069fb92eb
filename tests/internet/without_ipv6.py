"""`python -m tests.internet.without_ipv6` probes two servers whose IPv6 addresses are not redirected to loopback.

It prints, as JSON, what the reports say about each of them.
"""

import asyncio
import json
import sys
from typing import Any

from exporter.demo.federation import Federation
from exporter.internet import Internet
from exporter.internet.address_policy import AddressPolicy
from exporter.judging import verdict
from exporter.judging.warnings import warnings
from exporter.model import names
from exporter.probing.prober import Prober
from exporter.reports.report_json import report_json
from tests.addresses import ip_endpoint
from tests.embedded_federation import lab_servers

DUAL_STACK, IPV6_ONLY = "dual-stack.lab.test", "ipv6-only.lab.test"
_PROBE_SECONDS = 20.0


async def main() -> None:
    async with Federation(lab_servers(DUAL_STACK, IPV6_ONLY)) as federation:
        resolver = ip_endpoint(federation.resolver)
        internet = Internet(
            timeout=_PROBE_SECONDS,
            resolvers=lambda: [resolver],
            ca_file=federation.ca_file,
            policy=AddressPolicy(public_only=False),
            connect_to={key: ip_endpoint(to) for key, to in federation.connect_to.items() if not key.startswith("[")},
        )
        prober = Prober(internet, _PROBE_SECONDS)
        sys.stdout.write(json.dumps({name: await _summarize(prober, name) for name in (DUAL_STACK, IPV6_ONLY)}))


async def _summarize(prober: Prober, name: str) -> dict[str, Any]:
    report = await prober.probe(names.parse(name))
    return {
        "federates": verdict.federates(report),
        "says nothing": verdict.exporter_lacks_route(report),
        "without route": report_json(report)["without_route"],
        "warnings": [each.warning for each in warnings(report)],
    }


if __name__ == "__main__":
    asyncio.run(main())
