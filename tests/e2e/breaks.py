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

from tests.e2e.three_synapses import FORWARDED, Federation, Said, federation
from tests.namespaces import STAR_CENTRE

_STRIPS_AUTHORIZATION: Final = FORWARDED.replace("$http_host;", '$http_host; proxy_set_header Authorization "";')
_DECODES_PATHS: Final = FORWARDED.replace("8008;", "8008/_matrix/;")
_HOUR: Final = 3600.0

Break: TypeAlias = Callable[[Federation], AbstractContextManager[None]]
"""Breaks something for as long as the context lasts."""


def _drop(network: str, packets: str) -> Break:
    """Let a firewall drop packets that come from one of the networks."""

    @contextmanager
    def dropped(_: Federation) -> Iterator[None]:
        rule = ["pref", "1", "iif", network, *packets.split(), "blackhole"]
        subprocess.run(["ip", "rule", "add", *rule], check=True)
        try:
            yield
        finally:
            subprocess.run(["ip", "rule", "del", *rule], check=True)

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


# Answers go to ports above 32767, and get through.
BREAKS: Final[dict[str, Break]] = {
    "a firewall drops outgoing connections": _drop("srv", "ipproto tcp dport 1-32767"),
    "its resolver is dead": _drop("wk", "dport 53"),
    "its clock is an hour ahead": _clock_ahead,
    "its allow-list lacks the exporter": _allow_list,
    "a proxy strips Authorization": _proxy(_STRIPS_AUTHORIZATION),
    "a proxy decodes paths": _proxy(_DECODES_PATHS),
    "a notary masks a firewall": _drop("plain", f"to {STAR_CENTRE} ipproto tcp dport 8448"),
}


def main(folder: Path, results: Path) -> None:
    """Write to `results` what the exporter says with the first look after each break, and after its repair."""
    results.write_text(json.dumps(asyncio.run(_results(folder))))


async def _results(folder: Path) -> dict[str, dict[str, dict[str, Said]]]:
    results = {}
    with federation(folder) as running:
        await running.wait_until_healthy()
        for name, broken in BREAKS.items():
            with broken(running):
                after_break = await running.first_looks()
            results[name] = {"broken": after_break, "repaired": await running.first_looks()}
    return results
