"""A real Synapse behind a real nginx or Apache, configured as people do: each fault is named, and no other.

Three faults cannot be seen from outside. A proxy that removes the header Authorization changes nothing for us, who bear
no credentials. Apache says nothing of its LimitRequestBody before it has received as much. And a proxy behind another
one says nothing of its limit before that has received the whole body.
"""

from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from exporter.demo.authority import INCOMPLETE_CHAIN, VALID, Authority, CertificateProfile
from exporter.internet import Internet
from exporter.judging.warnings import WarningName, warnings
from exporter.model import names
from exporter.model.addresses import Endpoint, Target
from exporter.model.enums import Stage
from exporter.model.findings import Software
from exporter.model.outcomes import Failed, Passed, Skipped
from exporter.model.reasons import Reason
from exporter.model.report import Report
from exporter.probing.attempt import Deadline
from exporter.probing.deep_look import run
from exporter.probing.prober import Prober
from exporter.probing.stages import proxy
from tests.certificates import check_nothing
from tests.e2e.apache import apache
from tests.e2e.nginx import Site, nginx
from tests.e2e.real_network import PROBE_SECONDS, SERVER_NAME, problems, real_network
from tests.e2e.synapse import Synapse

pytestmark = pytest.mark.synapse

ENDPOINT = Endpoint(Target(SERVER_NAME, 8448), ip_address("192.0.2.1"))
ZONE = f"{SERVER_NAME} A {ENDPOINT.ip}"

# In all configurations, "SYNAPSE" stands for where that is, and "FOLDER" for one with an index.html.
LARGE_BODIES = "client_max_body_size 50M;"

PASSED, FAILED, INCONCLUSIVE = Passed.__name__, Failed.__name__, Skipped.__name__


@dataclass(frozen=True, slots=True)
class Findings:
    """`proxy` is what became of that stage, as its class is called; none where there was no way to it."""

    problems: AbstractSet[tuple[Stage, Reason]] = frozenset()
    warnings: AbstractSet[WarningName] = frozenset()
    proxy: str | None = PASSED


async def findings(address: str, authority: Authority) -> Findings:
    """Of a probe and a deep look at what listens there."""
    async with real_network(authority, ZONE, {ENDPOINT.address: address}) as network:
        report = await Prober(network, PROBE_SECONDS).probe(names.parse(SERVER_NAME))
        report = await run(network, report, PROBE_SECONDS)
    return Findings(problems(report), {located.warning for located in warnings(report)}, proxy_outcome(report))


def proxy_outcome(report: Report) -> str | None:
    (endpoint,) = report.endpoints
    return type(endpoint.deep.proxy).__name__ if endpoint.deep else None


# ---------------------------------------------------------------- right


async def assert_nothing_is_wrong(address: str, authority: Authority, software: Software) -> None:
    assert await findings(address, authority) == Findings()
    async with real_network(authority, ZONE, {ENDPOINT.address: address}) as network:
        *others, _large_body = await verdicts(network, software)
        assert others == [True] * 6


async def verdicts(network: Internet, software: Software) -> tuple[proxy.CheckResult, ...]:
    """That on every question of the stage `proxy`: none may be left inconclusive in silence."""
    with closing(network.connection(ENDPOINT)) as connection:
        await connection.open()
        await connection.start_tls(SERVER_NAME, check_nothing)
        answers, _ = await proxy.fetch(connection, SERVER_NAME, Deadline.for_probe(PROBE_SECONDS))
    return proxy.run_checks(answers, software, keys_found=True)


async def test_no_proxy(homeserver: Synapse, authority: Authority) -> None:
    """Synapse's own TLS has no fault, and answers every question."""
    await assert_nothing_is_wrong(homeserver.https_address, authority, homeserver.software)


RIGHT_NGINX = {
    "as documented": """
        location ~ ^(/_matrix|/_synapse/client) {
          proxy_pass http://SYNAPSE;
          proxy_set_header X-Forwarded-For $remote_addr;
          proxy_set_header X-Forwarded-Proto $scheme;
          proxy_set_header Host $host:$server_port;
          proxy_http_version 1.1;
        }
    """,
    "everything": "location / { proxy_pass http://SYNAPSE; }",
    "the path as it was sent": "location /_matrix { proxy_pass http://SYNAPSE$request_uri; }",
    "connections closed": "keepalive_timeout 0; location / { proxy_pass http://SYNAPSE; }",
    "bodies not kept": "location / { proxy_pass http://SYNAPSE; proxy_request_buffering off; proxy_http_version 1.1; }",
}


@pytest.mark.system("nginx")
@pytest.mark.parametrize("configuration", RIGHT_NGINX.values(), ids=RIGHT_NGINX)
async def test_right_nginx(homeserver: Synapse, authority: Authority, configuration: str, tmp_path: Path) -> None:
    """Nothing is named, and every question has its answer."""
    site = Site(
        authority.issue([SERVER_NAME]), LARGE_BODIES + configuration.replace("SYNAPSE", homeserver.http_address)
    )
    with nginx(tmp_path, [site]) as (address,):
        await assert_nothing_is_wrong(address, authority, homeserver.software)


RIGHT_APACHE = {
    "as documented": """
        AllowEncodedSlashes NoDecode
        ProxyPass /_matrix http://SYNAPSE/_matrix nocanon
    """,
    "encoded slashes allowed": """
        AllowEncodedSlashes On
        ProxyPass /_matrix http://SYNAPSE/_matrix nocanon
    """,
    "no question handed on": """
        Proxy100Continue Off
        AllowEncodedSlashes NoDecode
        ProxyPass /_matrix http://SYNAPSE/_matrix nocanon
    """,
}


@pytest.mark.system("apache2")
@pytest.mark.parametrize("directives", RIGHT_APACHE.values(), ids=RIGHT_APACHE)
async def test_right_apache(homeserver: Synapse, authority: Authority, directives: str, tmp_path: Path) -> None:
    """Nothing is named, and every question has its answer."""
    certificate = authority.issue([SERVER_NAME])
    with apache(tmp_path, certificate, directives.replace("SYNAPSE", homeserver.http_address)) as address:
        await assert_nothing_is_wrong(address, authority, homeserver.software)


# ---------------------------------------------------------------- wrong

FORWARDED = "location /_matrix/ { proxy_pass http://SYNAPSE; }"
A_PAGE_FOR_EVERY_PATH = "location / { default_type text/html; return 200 '<!doctype html><title>Welcome</title>'; }"

NO_VERSION = (Stage.VERSION, Reason.HTTP_STATUS)
NO_KEYS = (Stage.KEYS, Reason.HTTP_STATUS)
NOT_FORWARDED = (Stage.PROXY, Reason.NOT_FORWARDED)
KEYS_OUT_OF_REACH = Findings({NO_KEYS})
OUT_OF_REACH = Findings({NO_VERSION, NO_KEYS}, proxy=INCONCLUSIVE)


def seen_deep_only(*reasons: Reason) -> Findings:
    """What all who look at version and keys alone take for healthy."""
    return Findings({(Stage.PROXY, reason) for reason in reasons}, proxy=FAILED)


PATH_DECODED = seen_deep_only(Reason.PATH_DECODED)
PUT_REFUSED = seen_deep_only(Reason.HTTP_STATUS)


@dataclass(frozen=True, slots=True)
class Wrong:
    """`configuration` stands in nginx's `server`. Without a certificate, it speaks plain http."""

    configuration: str
    expected: Findings
    body_limit: str = LARGE_BODIES
    certificate: CertificateProfile | None = VALID


WRONG_NGINX = {
    # nginx decodes a path as soon as it is told what to make of it, and joins fail
    "slash after the port": Wrong("location / { proxy_pass http://SYNAPSE/; }", PATH_DECODED),
    "path after the port": Wrong("location /_matrix/ { proxy_pass http://SYNAPSE/_matrix/; }", PATH_DECODED),
    "$uri after the port": Wrong("location /_matrix { proxy_pass http://SYNAPSE$uri; }", PATH_DECODED),
    "rewrite": Wrong(
        "location /_matrix/ { rewrite ^/_matrix/(.*)$ /_matrix/$1 break; proxy_pass http://SYNAPSE; }",
        PATH_DECODED,
    ),
    "prefix stripped": Wrong("location /_matrix/ { proxy_pass http://SYNAPSE/; }", OUT_OF_REACH),
    "keys not forwarded": Wrong("location /_matrix/federation { proxy_pass http://SYNAPSE; }", KEYS_OUT_OF_REACH),
    "client API only": Wrong("location /_matrix/client { proxy_pass http://SYNAPSE; }", OUT_OF_REACH),
    "keys for another Host": Wrong(
        """
        location /_matrix/key { if ($host != "matrix.synapse.test") { return 404; } proxy_pass http://SYNAPSE; }
        location /_matrix { proxy_pass http://SYNAPSE; }
        """,
        KEYS_OUT_OF_REACH,
    ),
    "another virtual host": Wrong(
        A_PAGE_FOR_EVERY_PATH,
        Findings(
            {(Stage.VERSION, Reason.NOT_JSON), (Stage.KEYS, Reason.NOT_JSON), (Stage.PROXY, Reason.CATCH_ALL)},
            proxy=FAILED,
        ),
    ),
    "another virtual host for Host with port": Wrong(
        'if ($http_host = "synapse.test:8448") { return 200 "<!doctype html>"; }' + FORWARDED,
        Findings(warnings={WarningName.HOST_WITH_PORT_DIFFERS}),
    ),
    "upstream down": Wrong("location / { proxy_pass http://unix:FOLDER/nobody.sock; }", OUT_OF_REACH),
    "redirect": Wrong(
        "location /_matrix/federation { return 301 https://www.synapse.test$request_uri; }" + FORWARDED,
        Findings({NO_VERSION, NOT_FORWARDED}, proxy=FAILED),
    ),
    "too many requests": Wrong("location /_matrix { return 429; }", OUT_OF_REACH),
    # nothing is delivered without PUT, while all that testers look at is GET
    "PUT forbidden": Wrong(
        "location / { limit_except GET POST { deny all; } proxy_pass http://SYNAPSE; }",
        PUT_REFUSED,
    ),
    "PUT not allowed": Wrong("if ($request_method = PUT) { return 405; }" + FORWARDED, PUT_REFUSED),
    "encoded slash forbidden": Wrong('if ($request_uri ~* "%2f") { return 403; }' + FORWARDED, PATH_DECODED),
    "encoded slash a bad request": Wrong('if ($request_uri ~* "%2f") { return 400; }' + FORWARDED, PATH_DECODED),
    "encoded slash redirected": Wrong(
        'if ($request_uri ~* "%2f") { return 307 https://synapse.test/; }' + FORWARDED, PATH_DECODED
    ),
    "encoded hash a bad request": Wrong('if ($request_uri ~* "^[^?]*%23") { return 400; }' + FORWARDED, PATH_DECODED),
    "version 1 only": Wrong(
        """
        location /_matrix/federation/v1 { proxy_pass http://SYNAPSE; }
        location /_matrix/key { proxy_pass http://SYNAPSE; }
        """,
        seen_deep_only(Reason.NOT_FORWARDED),
    ),
    "transactions not forwarded": Wrong(
        "location /_matrix/federation/v1/send { return 404; }" + FORWARDED, seen_deep_only(Reason.NOT_FORWARDED)
    ),
    "nothing forwarded but version and keys, with nginx's own body limit": Wrong(
        """
        location /_matrix/federation/v1/version { proxy_pass http://SYNAPSE; }
        location /_matrix/key { proxy_pass http://SYNAPSE; }
        """,
        seen_deep_only(Reason.NOT_FORWARDED),
        body_limit="",
    ),
    "nginx's own body limit": Wrong(FORWARDED, seen_deep_only(Reason.BODY_LIMIT), body_limit=""),
    "page for unknown paths": Wrong(
        """
        location ~ ^/_matrix/(key|federation/v1/(version|event|send)) { proxy_pass http://SYNAPSE; }
        location / { root FOLDER; try_files $uri /index.html; }
        """,
        seen_deep_only(Reason.CATCH_ALL, Reason.NOT_FORWARDED),
    ),
    "page instead of the homeserver's 404": Wrong(
        """
        location /_matrix/ { proxy_pass http://SYNAPSE; proxy_intercept_errors on; error_page 404 =200 /index.html; }
        location / { root FOLDER; }
        """,
        seen_deep_only(Reason.CATCH_ALL),
    ),
    "plain http": Wrong(FORWARDED, Findings({(Stage.TLS, Reason.NOT_TLS)}, proxy=INCONCLUSIVE), certificate=None),
    "no intermediate certificate": Wrong(
        FORWARDED,
        Findings({(Stage.TLS, Reason.CERTIFICATE_INCOMPLETE_CHAIN)}, proxy=INCONCLUSIVE),
        certificate=INCOMPLETE_CHAIN,
    ),
}


@pytest.mark.system("nginx")
@pytest.mark.parametrize("wrong", WRONG_NGINX.values(), ids=WRONG_NGINX)
async def test_wrong_nginx(homeserver: Synapse, authority: Authority, wrong: Wrong, tmp_path: Path) -> None:
    """The fault is named, and nothing else."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Welcome</title>")
    certificate = authority.issue([SERVER_NAME], wrong.certificate) if wrong.certificate else None
    configuration = wrong.configuration.replace("SYNAPSE", homeserver.http_address).replace("FOLDER", str(tmp_path))
    with nginx(tmp_path, [Site(certificate, wrong.body_limit + configuration)]) as (address,):
        assert await findings(address, authority) == wrong.expected


INNER_NGINX = {
    "PUT forbidden": (
        LARGE_BODIES + "location / { limit_except GET { deny all; } proxy_pass http://SYNAPSE; }",
        PUT_REFUSED,
    ),
    "PUT not allowed": ("if ($request_method = PUT) { return 405; }" + LARGE_BODIES + FORWARDED, PUT_REFUSED),
    "nginx's own body limit": (FORWARDED, Findings()),
    "nothing wrong": (LARGE_BODIES + FORWARDED, Findings()),
}


@pytest.mark.system("nginx")
@pytest.mark.parametrize(("configuration", "expected"), INNER_NGINX.values(), ids=INNER_NGINX)
async def test_nginx_behind_nginx(
    homeserver: Synapse, authority: Authority, configuration: str, expected: Findings, tmp_path: Path
) -> None:
    """The one in front says `100 Continue`. A limit of the one behind it cannot be seen before a body is sent."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.mkdir()
    outer.mkdir()
    with nginx(inner, [Site(None, configuration.replace("SYNAPSE", homeserver.http_address))]) as (behind,):
        front = Site(authority.issue([SERVER_NAME]), LARGE_BODIES + f"location / {{ proxy_pass http://{behind}; }}")
        with nginx(outer, [front]) as (address,):
            assert await findings(address, authority) == expected
            async with real_network(authority, ZONE, {ENDPOINT.address: address}) as network:
                *_, large_body = await verdicts(network, homeserver.software)
    assert large_body is False


WRONG_APACHE = {
    "as many have it": ("ProxyPass /_matrix http://SYNAPSE/_matrix", PATH_DECODED),
    "encoded slashes refused": (
        "ProxyPass /_matrix http://SYNAPSE/_matrix nocanon",
        PATH_DECODED,
    ),
    "encoded slashes passed, all else decoded": (
        "AllowEncodedSlashes NoDecode\nProxyPass /_matrix http://SYNAPSE/_matrix",
        PATH_DECODED,
    ),
    "PUT forbidden": (
        """
        AllowEncodedSlashes NoDecode
        ProxyPass /_matrix http://SYNAPSE/_matrix nocanon
        <Location /_matrix>
          <LimitExcept GET POST>
            Require all denied
          </LimitExcept>
        </Location>
        """,
        PUT_REFUSED,
    ),
}


@pytest.mark.system("apache2")
@pytest.mark.parametrize(("directives", "expected"), WRONG_APACHE.values(), ids=WRONG_APACHE)
async def test_wrong_apache(
    homeserver: Synapse, authority: Authority, directives: str, expected: Findings, tmp_path: Path
) -> None:
    """The fault is named, and nothing else."""
    certificate = authority.issue([SERVER_NAME])
    with apache(tmp_path, certificate, directives.replace("SYNAPSE", homeserver.http_address)) as address:
        assert await findings(address, authority) == expected
