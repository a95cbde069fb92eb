"""A homeserver that gives out the keys of others, as Synapse does (server-server API, 2.3.2)."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum

from canonicaljson import encode_canonical_json

from exporter.demo.homeserver import Homeserver, JsonObject, encode_base64, key_id, unrecognized
from exporter.demo.https_server import Request, Response, json_response

QUERY = "/_matrix/key/v2/query"


class GivenKeys(StrEnum):
    """What a notary gives out as the keys of a server."""

    SAME = "same"
    OTHER = "other"
    """As if it had met another machine under that name."""


class Notary:
    """`known` are the homeservers that it has fetched keys from, by server name; may be changed at any time."""

    def __init__(self, homeserver: Homeserver, known: Mapping[str, Homeserver]) -> None:
        self.homeserver = homeserver
        self.known = dict(known)

    async def answer(self, request: Request) -> Response:
        if request.method != "POST":
            return unrecognized(405)
        asked = json.loads(request.body)["server_keys"]
        return json_response(
            {"server_keys": [document for name in asked for document in self._give(name, asked[name])]}
        )

    def _give(self, server_name: str, key_ids: Mapping[str, object]) -> Iterator[JsonObject]:
        """Only a document with a key of such an id, unless none is named."""
        if known := self.known.get(server_name):
            document: JsonObject = json.loads(known.keys().body)
            if not key_ids or key_ids.keys() & document["verify_keys"].keys():
                yield self.signed(document)

    def signed(self, document: JsonObject) -> JsonObject:
        message = encode_canonical_json({key: document[key] for key in document if key != "signatures"})
        own = {key_id(self.homeserver.key): encode_base64(self.homeserver.key.sign(message))}
        return {**document, "signatures": {**document["signatures"], self.homeserver.server_name: own}}
