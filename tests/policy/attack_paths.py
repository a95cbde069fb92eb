"""The ways by which the operator of a server, or a client of the exporter, can make it connect somewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from exporter.demo.https_server import Response, delegation, redirect
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.policy.table import Case
from tests.policy.world import World

Problems: TypeAlias = frozenset[tuple[Stage, Reason]]

_AT_TCP: Final[Problems] = frozenset({(Stage.TCP, Reason.BLOCKED_ADDRESS)})
_AT_BOTH: Final[Problems] = _AT_TCP | {(Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS)}
_AT_REDIRECT: Final[Problems] = frozenset(
    {(Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS), (Stage.TCP, Reason.CONNECT_REFUSED)}  # the fallback, to port 8448
)

_AT_INSECURE_REDIRECT: Final[Problems] = frozenset(  # such a redirect is a problem wherever it leads
    {(Stage.WELL_KNOWN, Reason.REDIRECT), (Stage.TCP, Reason.CONNECT_REFUSED)}
)


@dataclass(frozen=True, slots=True)
class AttackPath:
    """`prepare` makes a server name that leads to the address of a case and a port, and returns the name."""

    prepare: Callable[[World, Case, int], str]
    problems: Problems
    uses_text: bool = False
    """The path uses the text of the case as it is written, whether it is an address or not."""


def redirect_to(host: str, port: int, scheme: str = "https") -> Response:
    return redirect(f"{scheme}://{quote(host, safe='[]:%@#?/+.')}:{port}/.well-known/matrix/server")


ATTACK_PATHS: Final[dict[str, AttackPath]] = {
    "literal": AttackPath(lambda _world, case, _port: case.host, _AT_TCP, uses_text=True),
    "literal with port": AttackPath(lambda _world, case, port: f"{case.host}:{port}", _AT_TCP, uses_text=True),
    "address": AttackPath(lambda world, case, _port: world.name_with_address(case.ip), _AT_BOTH),
    "address with port": AttackPath(lambda world, case, port: f"{world.name_with_address(case.ip)}:{port}", _AT_TCP),
    "alias": AttackPath(lambda world, case, _port: world.alias_of(world.name_with_address(case.ip)), _AT_BOTH),
    "alias with port": AttackPath(
        lambda world, case, port: f"{world.alias_of(world.name_with_address(case.ip))}:{port}", _AT_TCP
    ),
    "SRV target": AttackPath(
        lambda world, case, port: world.name_with_srv(world.name_with_address(case.ip), port), _AT_TCP
    ),
    "SRV target that reads like an address": AttackPath(
        lambda world, case, port: world.name_with_srv(case.text.strip("[]"), port), _AT_TCP, uses_text=True
    ),
    "m.server, literal": AttackPath(
        lambda world, case, port: world.name_with_well_known(delegation(f"{case.host}:{port}")),
        _AT_TCP,
        uses_text=True,
    ),
    "m.server, by name": AttackPath(
        lambda world, case, port: world.name_with_well_known(delegation(f"{world.name_with_address(case.ip)}:{port}")),
        _AT_TCP,
    ),
    "m.server, by SRV": AttackPath(
        lambda world, case, port: world.name_with_well_known(
            delegation(world.name_with_srv(world.name_with_address(case.ip), port))
        ),
        _AT_TCP,
    ),
    "redirect, literal": AttackPath(
        lambda world, case, port: world.name_with_well_known(redirect_to(case.host, port)),
        _AT_REDIRECT,
        uses_text=True,
    ),
    "redirect, by name": AttackPath(
        lambda world, case, port: world.name_with_well_known(redirect_to(world.name_with_address(case.ip), port)),
        _AT_REDIRECT,
    ),
    "redirect to plain http, literal": AttackPath(
        lambda world, case, port: world.name_with_well_known(redirect_to(case.host, port, "http")),
        _AT_INSECURE_REDIRECT,
        uses_text=True,
    ),
    "redirect to plain http, by name": AttackPath(
        lambda world, case, port: world.name_with_well_known(
            redirect_to(world.name_with_address(case.ip), port, "http")
        ),
        _AT_INSECURE_REDIRECT,
    ),
}
