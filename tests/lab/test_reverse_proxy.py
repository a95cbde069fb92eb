import json

import pytest

from exporter.demo.homeserver import KEYS, VERSION, Homeserver
from exporter.demo.https_server import Request, Response
from exporter.demo.servers import Proxy, pass_through
from exporter.judging.peers.synapse import Synapse
from tests.lab.reverse_proxy import (
    add_long_header_line,
    allow_reads_only,
    allow_reads_only_behind_another_proxy,
    decode_paths,
    forward_version_1_only,
    forward_version_and_keys_only,
    know_host_without_port_only,
    lead_to_another_homeserver,
    limit_bodies,
    refuse_encoded_slashes,
    replace_content_type,
    serve_own_page_for_unknown_paths,
)

NAME = "x.lab.test"
ENCODED = "/_matrix/federation/v1/event/%24a%2Fb"
JOIN = "/_matrix/federation/v2/send_join/a/b"
UNKNOWN = "/_matrix/federation/v1/nothing"


def request(target: str, host: str = NAME, method: str = "GET") -> Request:
    return Request(NAME, method, target, host, "test")


async def send(proxy: Proxy, request: Request, homeserver: Homeserver | None = None) -> Response:
    site = proxy(homeserver or Homeserver(NAME))
    assert not site.resources
    assert not isinstance(site.fallback, Response)
    return await site.fallback(request)


JSON, HTML = "application/json", "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("proxy", "target", "host", "expected"),
    [
        (pass_through, ENCODED, NAME, (401, JSON)),
        (decode_paths, ENCODED, NAME, (404, JSON)),
        (decode_paths, "/_matrix/federation/v1/event/%24base", NAME, (401, JSON)),
        (decode_paths, "/_matrix/federation/v1/%76ersion", NAME, (200, JSON)),
        (refuse_encoded_slashes, ENCODED, NAME, (400, HTML)),
        (refuse_encoded_slashes, "/_matrix/federation/v1/event/%24base", NAME, (401, JSON)),
        (forward_version_1_only, JOIN, NAME, (404, HTML)),
        (forward_version_1_only, ENCODED, NAME, (401, JSON)),
        (forward_version_and_keys_only, VERSION, NAME, (200, JSON)),
        (forward_version_and_keys_only, KEYS, NAME, (200, JSON)),
        (forward_version_and_keys_only, ENCODED, NAME, (404, HTML)),
        (forward_version_and_keys_only, UNKNOWN, NAME, (404, HTML)),
        (pass_through, UNKNOWN, NAME, (404, JSON)),
        (serve_own_page_for_unknown_paths, UNKNOWN, NAME, (200, HTML)),
        (serve_own_page_for_unknown_paths, ENCODED, NAME, (401, JSON)),
        (pass_through, KEYS, f"{NAME}:8448", (200, JSON)),
        (know_host_without_port_only, KEYS, f"{NAME}:8448", (404, HTML)),
        (know_host_without_port_only, KEYS, NAME, (200, JSON)),
        (replace_content_type, KEYS, NAME, (200, "text/plain; charset=utf-8")),
    ],
)
async def test_a_proxy_has_one_fault(proxy: Proxy, target: str, host: str, expected: tuple[int, str]) -> None:
    """Everything else passes unchanged."""
    response = await send(proxy, request(target, host))
    assert (response.status, dict(response.headers)["Content-Type"]) == expected


@pytest.mark.parametrize(
    "proxy",
    [
        decode_paths,
        limit_bodies,
        allow_reads_only,
        allow_reads_only_behind_another_proxy,
        refuse_encoded_slashes,
        forward_version_1_only,
        forward_version_and_keys_only,
        add_long_header_line,
        serve_own_page_for_unknown_paths,
        know_host_without_port_only,
        replace_content_type,
    ],
)
async def test_the_requests_of_a_probe_pass(proxy: Proxy) -> None:
    """That makes these faults hard to find."""
    homeserver = Homeserver(NAME)
    assert (await send(proxy, request(VERSION), homeserver)).body == homeserver.version().body
    assert (await send(proxy, request(KEYS), homeserver)).status == 200
    assert [proxy(homeserver).refuse(request(path), 0) for path in (VERSION, KEYS)] == [None, None]


@pytest.mark.parametrize(
    ("proxy", "method", "body_bytes", "status"),
    [
        (pass_through, "PUT", 1 << 30, None),
        (limit_bodies, "PUT", 1 << 20, None),
        (limit_bodies, "PUT", (1 << 20) + 1, 413),
        (allow_reads_only, "GET", 0, None),
        (allow_reads_only, "HEAD", 0, None),
        (allow_reads_only, "PUT", 0, 403),
        (allow_reads_only_behind_another_proxy, "PUT", 0, None),
    ],
)
def test_a_request_is_refused_before_its_body_is_read(
    proxy: Proxy, method: str, body_bytes: int, status: int | None
) -> None:
    """The https server asks before it reads the body."""
    refused = proxy(Homeserver(NAME)).refuse(request("/", method=method), body_bytes)
    assert (refused.status if refused else None) == status


@pytest.mark.parametrize(("proxy", "status"), [(pass_through, 401), (allow_reads_only_behind_another_proxy, 403)])
async def test_a_second_proxy_refuses_after_the_body(proxy: Proxy, status: int) -> None:
    """The one in front has said that the client may continue."""
    assert (await send(proxy, request(JOIN, method="PUT"))).status == status


async def test_another_homeserver_has_other_keys() -> None:
    """It has the same name."""
    homeserver = Homeserver(NAME)
    document = json.loads((await send(lead_to_another_homeserver, request(KEYS), homeserver)).body)
    assert document["server_name"] == NAME
    assert document["verify_keys"] != homeserver.unsigned_keys()["verify_keys"]


async def test_one_header_line_is_long() -> None:
    """Everything else of the response is the homeserver's."""
    homeserver = Homeserver(NAME)
    usual = await homeserver.respond(request(VERSION))
    response = await send(add_long_header_line, request(VERSION), homeserver)
    *others, (name, value) = response.headers
    assert (response.status, response.body, tuple(others)) == (usual.status, usual.body, usual.headers)
    assert name == "Content-Security-Policy"
    assert Synapse.max_header_line_bytes < len(value) < Synapse.max_header_line_bytes * 2
