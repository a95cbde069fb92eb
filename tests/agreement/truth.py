"""What a real Synapse does with a federation: the two looks that the kit's README describes."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import httpx

from exporter.demo.authority import Authority
from tests.agreement.served import engine
from tests.e2e.synapse import Synapse, synapse
from tests.waiting import PATIENCE

_OUR_NAME: Final = "truth.example"  # nobody has to resolve it: Synapse asks, and is asked on loopback
_QUERY: Final = "/_matrix/federation/v1/query/directory"
_PROFILE: Final = f"/_matrix/federation/v1/query/profile?user_id=%40nobody%3A{_OUR_NAME}"
_UNLIMITED: Final = {"window_size": 1, "sleep_limit": 9999, "sleep_delay": 0, "reject_limit": 9999, "concurrent": 99}
_LOOKS_AT_ONCE: Final = 20
"""They wait more than they compute: Synapse tries four times to reach a server, up to 10 s each."""


def answer_queries(federation: Any) -> None:
    """Let its homeserver answer a signed query for our alias with our nonce."""
    unsigned = federation.usual_answer

    def answer(request: Any) -> Any:
        url = urlsplit(request.target)
        asked = parse_qs(url.query).get("room_alias")
        if url.path == _QUERY and asked == [_alias(federation)] and "authorization" in request.headers:
            return engine.Answer(200, {"room_id": _nonce(federation), "servers": [federation.name]})
        return unsigned(request)

    federation.usual_answer = answer


def _alias(federation: Any) -> str:
    return f"#nonce:{federation.name}"


def _nonce(federation: Any) -> str:
    return f"!nonce-{federation.number}:{federation.name}"


@dataclass(frozen=True, slots=True)
class Truth:
    """A Synapse that trusts the authority of the federations, connects to any address, and has no rate limits."""

    homeserver: Synapse

    @classmethod
    @contextmanager
    def started(cls, folder: Path, ca_file: Path) -> Iterator["Truth"]:
        """Start it with all its files in a new folder."""
        folder.mkdir()
        own = Authority(folder).issue([_OUR_NAME])
        trust = {"federation_custom_ca_list": [str(ca_file)], "ip_range_blacklist": list[str]()}
        with synapse(folder, _OUR_NAME, own, **trust, rc_federation=_UNLIMITED) as homeserver:
            yield cls(homeserver)

    async def look_at_all(self, federations: Mapping[str, Any]) -> dict[str, str]:
        """Return by ID what it does with each: `works`, `keys_refused` or `fails`, as in observed.yaml."""
        slots, outcomes = asyncio.Semaphore(_LOOKS_AT_ONCE), dict[str, str]()
        address = f"http://{self.homeserver.http_address}"
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, trust_env=False) as client:

            async def look(ident: str) -> None:
                async with slots:
                    outcomes[ident] = await _look(client, federations[ident])

            slow_first = sorted(federations, key=lambda ident: not federations[ident].slow)
            await asyncio.gather(*(look(ident) for ident in slow_first))
        return outcomes


async def _look(client: httpx.AsyncClient, federation: Any) -> str:
    if not await _is_answered(client, federation):
        return "fails"
    return "works" if await _are_keys_accepted(client, federation) else "keys_refused"


async def _is_answered(client: httpx.AsyncClient, federation: Any) -> bool:
    """Whether a lookup of an alias by one of its users brings our nonce."""
    response = await client.get(f"/_matrix/client/v3/directory/room/{quote(_alias(federation))}")
    return response.status_code == 200 and response.json()["room_id"] == _nonce(federation)


async def _are_keys_accepted(client: httpx.AsyncClient, federation: Any) -> bool:
    """Whether it finds keys that verify a request which the federation signed."""
    request = {"method": "GET", "uri": _PROFILE, "origin": federation.name, "destination": _OUR_NAME}
    signature = engine.signature(federation.key, request)
    credentials = {"origin": federation.name, "destination": _OUR_NAME, "key": federation.key_id, "sig": signature}
    header = "X-Matrix " + ",".join(f'{name}="{value}"' for name, value in credentials.items())
    response = await client.get(_PROFILE, headers={"Authorization": header})
    return response.status_code == 404  # there is no such user; 401 without keys, 500 where they confuse it
