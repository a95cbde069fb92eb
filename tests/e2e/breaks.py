"""What keeps one of three real Synapses from others while all else is green, and what the exporter says then.

`main` runs in three_synapses.NETWORK.
"""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from exporter.model.enums import IPFamily
from tests.e2e.three_synapses import FORWARDED, Federation, Said, federation
from tests.namespaces import STAR_CENTRE

_STRIPS_AUTHORIZATION: Final = FORWARDED.replace("$http_host;", '$http_host; proxy_set_header Authorization "";')
_DECODES_PATHS: Final = FORWARDED.replace("8008;", "8008/_matrix/;")
_HOUR: Final = 3600.0

Break: TypeAlias = Callable[[Federation], AbstractContextManager[None]]
"""Breaks something for as long as the context lasts."""


def _drop(network: str, packets: str, ip_family: IPFamily = IPFamily.IPV4) -> Break:
    """Let a firewall drop packets that come from one of the networks."""

    @contextmanager
    def dropped(_: Federation) -> Iterator[None]:
        option = {IPFamily.IPV4: "-4", IPFamily.IPV6: "-6"}[ip_family]
        rule = ["pref", "1", "iif", network, *packets.split(), "blackhole"]
        subprocess.run(["ip", option, "rule", "add", *rule], check=True)
        try:
            yield
        finally:
            subprocess.run(["ip", option, "rule", "del", *rule], check=True)

    return dropped


def _proxy(locations: str) -> Break:
    @contextmanager
    def changed(running: Federation) -> Iterator[None]:
        running.proxy.restart(locations=locations)
        try:
            yield
        finally:
            running.proxy.restart()

    return changed


@contextmanager
def _allow_list(running: Federation) -> Iterator[None]:
    running.srv.restart(federation_domain_whitelist=["wk.test", "plain.test"])
    try:
        yield
    finally:
        running.srv.restart()


@contextmanager
def _clock_ahead(running: Federation) -> Iterator[None]:
    running.clock.set(_HOUR)
    try:
        yield
    finally:
        running.clock.set(0.0)


_NEW_CONNECTIONS: Final = "ipproto tcp dport 1-32767"  # answers go to ports above, and get through
BREAKS: Final[dict[str, Break]] = {
    "a firewall drops outgoing connections": _drop("srv", _NEW_CONNECTIONS),
    "its resolver is dead": _drop("wk", "dport 53"),
    "its clock is an hour ahead": _clock_ahead,
    "its allow-list lacks the exporter": _allow_list,
    "a proxy strips Authorization": _proxy(_STRIPS_AUTHORIZATION),
    "a proxy decodes paths": _proxy(_DECODES_PATHS),
    "a notary masks a firewall": _drop("plain", f"to {STAR_CENTRE} ipproto tcp dport 8448"),
}

IPV6_BREAK: Final = "a firewall drops outgoing connections over IPv6"
"""For this one, the exporter has a name with addresses of each family."""


def main(folder: Path, results: Path) -> None:
    """Write to `results` what the exporter says with the first look after each break, and after its repair.

    As long as a server has the exporter's keys from the look before, only every other look shows each IP family.
    """
    results.write_text(json.dumps(asyncio.run(_results(folder))))


async def _results(folder: Path) -> dict[str, dict[str, dict[str, Said]]]:
    with federation(folder) as running:
        await running.wait_until_healthy()
        results = {name: await _broken_and_repaired(running, broken) for name, broken in BREAKS.items()}
        running.name_families()
        await running.wait_until_healthy()
        results[IPV6_BREAK] = await _broken_and_repaired(
            running, _drop("srv", _NEW_CONNECTIONS, IPFamily.IPV6), looks=2
        )
    return results


async def _broken_and_repaired(running: Federation, broken: Break, looks: int = 1) -> dict[str, dict[str, Said]]:
    with broken(running):
        after_break = await running.after_looks(looks)
    return {"broken": after_break, "repaired": await running.after_looks(looks)}
