"""Users of all homeservers meet in a room, and read one another's messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from deploy.demo.homeserver import DemoError, Synapse

_USERS: Final = ("alice", "bob", "carol")
_ALIAS = "demo"
_PAUSE_SECONDS = 0.1
_ARRIVAL_SECONDS = 300.0  # on a machine that does much else; otherwise it takes one


class _User:
    def __init__(self, synapse: Synapse, name: str) -> None:
        self.user_id = f"@{name}:{synapse.server_name}"
        self._client = synapse.client
        self._name = name
        self._token = ""

    async def request(self, method: str, path: str, content: object = None) -> Any:
        """Send a request to the client API. Raises DemoError."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        url = f"/_matrix/client/v3/{path}"
        try:
            response = (await self._client.request(method, url, json=content, headers=headers)).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise DemoError(
                f"{self.user_id} got an error from its homeserver: {error}: {error.response.text}"
            ) from error
        return response.json()

    async def register(self) -> None:
        account = {"username": self._name, "password": self._name, "auth": {"type": "m.login.dummy"}}
        self._token = (await self.request("POST", "register", account))["access_token"]

    async def say(self, room: str, text: str) -> None:
        message = {"msgtype": "m.text", "body": text}
        await self.request("PUT", f"rooms/{quote(room)}/send/m.room.message/1", message)

    async def wait_for(self, room: str, text: str) -> None:
        """Return when a message has arrived."""
        while text not in await self._read(room):  # noqa: ASYNC110 - the homeserver is asked, as a user would ask it
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, room: str) -> list[str]:
        events = (await self.request("GET", f"rooms/{quote(room)}/messages?dir=b&limit=20"))["chunk"]
        return [event["content"].get("body") for event in events]


async def meet(synapses: Sequence[Synapse]) -> AsyncIterator[str]:
    """Let a user of each homeserver join a room and say something, and yield a sentence for everything that happens.

    Raises DemoError.
    """
    users = [_User(synapse, name) for synapse, name in zip(synapses, _USERS, strict=True)]
    first, *others = users
    for user in users:
        await user.register()
    created = await first.request("POST", "createRoom", {"preset": "public_chat", "room_alias_name": _ALIAS})
    room, alias = created["room_id"], f"#{_ALIAS}:{synapses[0].server_name}"
    yield f"{first.user_id} has created {alias}."
    for user in others:
        await user.request("POST", f"join/{quote(alias)}", {})
        yield f"{user.user_id} has joined it."
    for user in users:
        text = f"Hello from {user.user_id}!"
        await user.say(room, text)
        await _arrive(text, room, [other for other in users if other is not user])
        yield f"{text!r} has arrived at both other homeservers."


async def _arrive(text: str, room: str, users: Sequence[_User]) -> None:
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            for user in users:
                await user.wait_for(room, text)
    except TimeoutError:
        raise DemoError(f"{text!r} did not arrive within {_ARRIVAL_SECONDS:.0f} s") from None
