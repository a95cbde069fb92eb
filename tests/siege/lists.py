"""Server lists from elsewhere, each as large and as bad as it can be."""

import secrets
from collections.abc import Callable
from functools import cache
from urllib.parse import parse_qs, urlsplit

from tests.server_lists.serving import json_response, target_groups

_LIST_BYTES = 7 * 1024 * 1024  # a little less than the exporter reads
_MANY_NAMES = 300_000
_NEW_NAMES = 40  # of a list that is another one each time
_PAGE_SIZE = 1000
SYNAPSE = "/synapse"


@cache
def _bad_names() -> bytes:
    return json_response([{"targets": ["#" * 8] * (_LIST_BYTES // 12)}])


@cache
def _empty_objects() -> bytes:
    return json_response([{}] * (_LIST_BYTES // 4))


@cache
def _many_names() -> bytes:
    return target_groups(*(f"n{number}.siege.test" for number in range(_MANY_NAMES)))


def _new_names() -> bytes:
    return target_groups(*(f"{secrets.token_hex(8)}.siege.test" for _ in range(_NEW_NAMES)))


LISTS: dict[str, Callable[[], bytes]] = {
    "/bad-names": _bad_names,
    "/empty-objects": _empty_objects,
    "/many-names": _many_names,
    "/new-names": _new_names,
}


def respond(target: str) -> bytes:
    """Return a list, or a page of a Synapse whose destinations never end."""
    url = urlsplit(target)
    if url.path in LISTS:
        return LISTS[url.path]()
    (start,) = parse_qs(url.query).get("from", ["0"])
    names = [{"destination": f"d{int(start) + number}.siege.test"} for number in range(_PAGE_SIZE)]
    return json_response({"destinations": names, "next_token": str(int(start) + _PAGE_SIZE)})
