"""Stage `notary` of the deep look: whether another server returns the keys that this one publishes.

The source is the server-server API, 2.3.2, "POST /_matrix/key/v2/query".

Many peers query a notary before they ask the server itself. The stage sends the same query as they do: for the keys by
their IDs, valid now. A notary then answers from its own store, and only contacts the server if it has no keys that are
still valid. A notary that fetched other keys has nothing under those IDs: it is then queried for all keys that it has,
for which it contacts no other server.

There are three cases:

- the notary returns the keys that the server publishes: the stage passes;
- peers that rely on the notary reject what the server signs, because the notary returns other keys, or a document that
  the server has not signed: the stage fails with `signature_invalid`, which is what those peers see;
- anything else goes wrong: that concerns only the notary, so the stage is inconclusive.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from exporter.model.findings import SigningKeys
from exporter.model.names import ServerName
from exporter.model.outcomes import SKIPPED, Failed, Outcome, Passed, Problem
from exporter.model.reasons import Reason
from exporter.model.report import NotaryResult
from exporter.model.sanitize import printable
from exporter.probing.attempt import Deadline, Failure, attempt
from exporter.probing.evidence import HttpResponse
from exporter.probing.network import Connection
from exporter.probing.parsing.json_body import JsonObject, json_type
from exporter.probing.parsing.json_response import parse_object
from exporter.probing.problems import Step
from exporter.probing.stages import keys

_PATH = "/_matrix/key/v2/query"
_MAX_ID_CHARACTERS = 100  # of all key IDs that one detail lists
_MAX_COMPLAINTS = 5  # about one notary: the rest is more of the same

Documents: TypeAlias = tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The keys that a server publishes, by key ID, and when the probe saw them."""

    server_name: str
    keys: Mapping[str, str]
    seen_at: datetime

    def query_by_key_id(self) -> bytes:
        """Return the body that peers send.

        It requires keys that are valid at the moment of the probe. A notary would fetch the keys anew for every query
        that requires more.
        """
        moment = (self.seen_at - keys.EPOCH) // timedelta(milliseconds=1)
        return self._query({key_id: {"minimum_valid_until_ts": moment} for key_id in self.keys})

    def query_by_name(self) -> bytes:
        """Return the body that requests all keys that the notary has."""
        return self._query({})

    def _query(self, criteria: JsonObject) -> bytes:
        return json.dumps({"server_keys": {self.server_name: criteria}}).encode()


async def run(
    connection: Connection, host_header: str, notary: ServerName, published: PublishedKeys, deadline: Deadline
) -> NotaryResult:
    """Query a notary with one or two small requests, and evaluate what it returns."""
    before = connection.peer_wait()
    parse = partial(parse_documents, notary=notary, published=published)
    query = partial(_query, connection, host_header, parse, deadline)
    documents = await query(published.query_by_key_id()) or await query(published.query_by_name())
    if isinstance(documents, Problem):
        return inconclusive(notary, documents)
    if not documents:
        return NotaryResult(notary, SKIPPED, f"it has no valid keys for {published.server_name}")
    return NotaryResult(notary, evaluate(documents, notary, published, connection.peer_wait() - before))


async def _query(
    connection: Connection,
    host_header: str,
    parse: Callable[[HttpResponse], Documents | Failure[Documents]],
    deadline: Deadline,
    body: bytes,
) -> Documents | Problem:
    response = connection.post(_PATH, host_header, body, keys.MAX_BYTES)
    outcome = await attempt(Step.HTTP, response, parse, deadline)
    return outcome.found if isinstance(outcome, Passed) else outcome.problems[0]


def inconclusive(notary: ServerName, problem: Problem) -> NotaryResult:
    """Return the result of a notary that could not be queried."""
    return NotaryResult(notary, SKIPPED, f"{problem.reason}: {problem.detail}")


# ---------------------------------------------------------------- evaluation


def parse_documents(
    response: HttpResponse, notary: ServerName, published: PublishedKeys
) -> Documents | Failure[Documents]:
    """Return the documents that a peer would use. There are none if the notary does not know the server."""
    content = parse_object(response)
    if isinstance(content, Problem):
        return Failure((content,))
    documents = content.get("server_keys")
    if not isinstance(documents, list):
        return Failure(
            (Problem(Reason.INVALID_CONTENT, f"server_keys should be an array, found {json_type(documents)}"),)
        )
    return tuple(document for document in documents if _is_usable(document, notary, published))


def _is_usable(document: object, notary: ServerName, published: PublishedKeys) -> bool:
    """Whether a document is about this server, still valid, and signed by the notary.

    The notary's signature is not verified: the TLS session proves the same.
    """
    if not isinstance(document, dict) or keys.find_malformation(document):
        return False
    return (
        document["server_name"] == published.server_name
        and keys.valid_until(document) > published.seen_at
        and bool(document["signatures"].get(notary.text))
    )


def evaluate(
    documents: Documents, notary: ServerName, published: PublishedKeys, seconds: float
) -> Outcome[SigningKeys]:
    """Compare the documents of a notary with the published keys. There must be at least one document.

    If several documents contain a key of the same ID, the one that is valid for longest counts.
    """
    returned: dict[str, str] = {}
    complaints: list[str] = []
    for document in sorted(documents, key=keys.valid_until):
        good, problems = keys.verify_signatures(document, published.server_name)
        returned |= good
        complaints += [f"returns a document that the server has not signed: {problem.detail}" for problem in problems]
    complaints += _compare(returned, published.keys)
    found = SigningKeys(returned, max(map(keys.valid_until, documents)))
    if not complaints:
        return Passed(seconds, found)
    problems = tuple(
        Problem(Reason.SIGNATURE_INVALID, f"{notary} {complaint}") for complaint in complaints[:_MAX_COMPLAINTS]
    )
    return Failed(seconds, problems, found)


def _compare(returned: Mapping[str, str], published: Mapping[str, str]) -> Iterator[str]:
    """Yield complaints about the keys that a notary returns. There are three cases:

    - no key ID is in both: a complaint;
    - another key has the same ID: a complaint;
    - otherwise none. While an earlier document is valid, the notary may return more keys than are published, or fewer.
    """
    in_both = returned.keys() & published.keys()
    if returned and not in_both:
        yield f"returns {_join_key_ids(returned)}, but the server publishes {_join_key_ids(published)}"
    if different := [key_id for key_id in in_both if returned[key_id] != published[key_id]]:
        yield f"returns a different key as {_join_key_ids(different)}"


def _join_key_ids(key_ids: Iterable[str]) -> str:
    return printable(", ".join(sorted(key_ids)), _MAX_ID_CHARACTERS)
