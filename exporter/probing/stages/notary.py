"""Stage `notary`, of the deep look: whether another server gives out the keys that we saw
(server-server API, 2.3.2, "POST /_matrix/key/v2/query").

Many peers believe a notary before they ask the server itself. It is asked as they ask: for the keys by their ids, valid
now. So it answers from what it knows, and fetches from the server only where it knows nothing that is still valid. A
notary that fetched other keys has nothing under those ids: it is then asked for all that it has, which makes it fetch
nothing.

The stage fails where peers that believe the notary refuse what the server signs, be it that the notary gives out other
keys, or a document that the server has not signed. Either way it is `signature_invalid` that they meet. Everything else
that goes wrong is the notary's own affair, and inconclusive.
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
from exporter.probing.parsing.json_body import JsonObject, json_type, parse_object
from exporter.probing.problems import Step
from exporter.probing.stages import keys

_PATH = "/_matrix/key/v2/query"
_MAX_ID_CHARACTERS = 100  # of all key ids that a detail lists
_MAX_COMPLAINTS = 5  # about one notary: the rest is more of the same

Documents: TypeAlias = tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The keys that a server publishes, by key id, and when we saw them."""

    server_name: str
    keys: Mapping[str, str]
    seen_at: datetime

    def by_key_id(self) -> bytes:
        """What peers ask. No validity beyond this moment is wanted, else every such question would be a fetch."""
        moment = (self.seen_at - keys.EPOCH) // timedelta(milliseconds=1)
        return self._question({key_id: {"minimum_valid_until_ts": moment} for key_id in self.keys})

    def by_name(self) -> bytes:
        return self._question({})

    def _question(self, criteria: JsonObject) -> bytes:
        return json.dumps({"server_keys": {self.server_name: criteria}}).encode()


async def run(
    connection: Connection, host_header: str, notary: ServerName, published: PublishedKeys, deadline: Deadline
) -> NotaryResult:
    """One small request, or two."""
    before = connection.peer_wait()
    ask = partial(
        _query, connection, host_header, partial(parse_documents, notary=notary, published=published), deadline
    )
    given = await ask(published.by_key_id()) or await ask(published.by_name())
    if isinstance(given, Problem):
        return inconclusive(notary, given)
    if not given:
        return NotaryResult(notary, SKIPPED, f"it has no valid keys of {published.server_name}")
    return NotaryResult(notary, evaluate(given, notary, published, connection.peer_wait() - before))


async def _query(
    connection: Connection,
    host_header: str,
    read_documents: Callable[[HttpResponse], Documents | Failure[Documents]],
    deadline: Deadline,
    question: bytes,
) -> Documents | Problem:
    ask = connection.post(_PATH, host_header, question, keys.MAX_BYTES)
    given = await attempt(Step.HTTP, ask, read_documents, deadline)
    return given.found if isinstance(given, Passed) else given.problems[0]


def inconclusive(notary: ServerName, problem: Problem) -> NotaryResult:
    return NotaryResult(notary, SKIPPED, f"{problem.reason}: {problem.detail}")


# ---------------------------------------------------------------- reading


def parse_documents(
    answer: HttpResponse, notary: ServerName, published: PublishedKeys
) -> Documents | Failure[Documents]:
    """The documents that a peer would use; none where the notary does not know the server."""
    content = parse_object(answer)
    if isinstance(content, Problem):
        return Failure((content,))
    documents = content.get("server_keys")
    if not isinstance(documents, list):
        return Failure(
            (Problem(Reason.INVALID_CONTENT, f"server_keys should be an array, found {json_type(documents)}"),)
        )
    return tuple(document for document in documents if _is_usable(document, notary, published))


def _is_usable(document: object, notary: ServerName, published: PublishedKeys) -> bool:
    """Of this server, still valid, and signed by the notary. Its signature is not verified, for TLS proves the same."""
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
    """Where several documents hold a key of the same id, the one that is valid for longest counts."""
    given: dict[str, str] = {}
    complaints: list[str] = []
    for document in sorted(documents, key=keys.valid_until):
        good, faults = keys.verify_signatures(document, published.server_name)
        given |= good
        complaints += [f"gives out what the server has not signed: {fault.detail}" for fault in faults]
    complaints += _compare(given, published.keys)
    seen = SigningKeys(given, max(map(keys.valid_until, documents)))
    if not complaints:
        return Passed(seconds, seen)
    problems = tuple(
        Problem(Reason.SIGNATURE_INVALID, f"{notary} {complaint}") for complaint in complaints[:_MAX_COMPLAINTS]
    )
    return Failed(seconds, problems, seen)


def _compare(given: Mapping[str, str], published: Mapping[str, str]) -> Iterator[str]:
    """For as long as an earlier document is valid, the notary may give out more keys, or fewer: what counts is the key
    under each id that both know, and that there is such an id.
    """
    both = given.keys() & published.keys()
    if given and not both:
        yield f"gives out {_join_key_ids(given)}, where the server publishes {_join_key_ids(published)}"
    if other := [key_id for key_id in both if given[key_id] != published[key_id]]:
        yield f"gives out another key as {_join_key_ids(other)}"


def _join_key_ids(key_ids: Iterable[str]) -> str:
    return printable(", ".join(sorted(key_ids)), _MAX_ID_CHARACTERS)
