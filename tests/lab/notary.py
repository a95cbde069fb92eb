"""A homeserver that gives out the keys of other servers, as Synapse does (server-server API, 2.3.2)."""

import json
from collections.abc import Iterator, Mapping

from exporter.demo.homeserver import Homeserver, JsonObject, sign_as, unrecognized
from exporter.demo.https_server import Request, Response, json_response

QUERY = "/_matrix/key/v2/query"


class Notary:
    """`known` are the homeservers whose keys it has, by server name; they may be changed at any time."""

    def __init__(self, homeserver: Homeserver, known: Mapping[str, Homeserver]) -> None:
        self.homeserver = homeserver
        self.known = dict(known)

    async def respond(self, request: Request) -> Response:
        if request.method != "POST":
            return unrecognized(405)
        criteria = json.loads(request.body)["server_keys"]
        documents = [document for name in criteria for document in self._give_out(name, criteria[name])]
        return json_response({"server_keys": documents})

    def _give_out(self, server_name: str, key_ids: Mapping[str, object]) -> Iterator[JsonObject]:
        """Yield the document of a known server that has one of these key IDs, or any if no ID is named."""
        if known := self.known.get(server_name):
            document: JsonObject = json.loads(known.keys().body)
            if not key_ids or key_ids.keys() & document["verify_keys"].keys():
                yield sign_as(self.homeserver, document)
