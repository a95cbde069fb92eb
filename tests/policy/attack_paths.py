"""The ways by which whoever runs a server, or asks for one, can make the exporter connect somewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from exporter.demo.https_server import Response, delegation, redirect
from exporter.model.enums import Stage
from exporter.model.reasons import Reason
from tests.policy.table import Case
from tests.policy.world import World

Blamed: TypeAlias = frozenset[tuple[Stage, Reason]]

AT_TCP: Final[Blamed] = frozenset({(Stage.TCP, Reason.BLOCKED_ADDRESS)})
AT_BOTH: Final[Blamed] = AT_TCP | {(Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS)}
AT_A_HOP: Final[Blamed] = frozenset(
    {(Stage.WELL_KNOWN, Reason.BLOCKED_ADDRESS), (Stage.TCP, Reason.CONNECT_REFUSED)}  # the fallback, to port 8448
)


@dataclass(frozen=True, slots=True)
class AttackPath:
    """`lead` makes the world lead to a host and a port, and says which server name to probe for it."""

    lead: Callable[[World, Case, int], str]
    blamed: Blamed
    by_text: bool = False
    """What is written stands there as it is, be it an address or not."""


def redirected(host: str, port: int) -> Response:
    return redirect(f"https://{quote(host, safe='[]:%@#?/+.')}:{port}/.well-known/matrix/server")


ATTACK_PATHS: Final[dict[str, AttackPath]] = {
    "literal": AttackPath(lambda _world, case, _port: case.host, AT_TCP, by_text=True),
    "literal with port": AttackPath(lambda _world, case, port: f"{case.host}:{port}", AT_TCP, by_text=True),
    "address": AttackPath(lambda world, case, _port: world.name_at(case.ip), AT_BOTH),
    "address with port": AttackPath(lambda world, case, port: f"{world.name_at(case.ip)}:{port}", AT_TCP),
    "alias": AttackPath(lambda world, case, _port: world.alias_of(world.name_at(case.ip)), AT_BOTH),
    "alias with port": AttackPath(lambda world, case, port: f"{world.alias_of(world.name_at(case.ip))}:{port}", AT_TCP),
    "SRV target": AttackPath(lambda world, case, port: world.service_at(world.name_at(case.ip), port), AT_TCP),
    "SRV target that reads like an address": AttackPath(
        lambda world, case, port: world.service_at(case.text.strip("[]"), port), AT_TCP, by_text=True
    ),
    "m.server, literal": AttackPath(
        lambda world, case, port: world.website_with(delegation(f"{case.host}:{port}")), AT_TCP, by_text=True
    ),
    "m.server, by name": AttackPath(
        lambda world, case, port: world.website_with(delegation(f"{world.name_at(case.ip)}:{port}")), AT_TCP
    ),
    "m.server, by SRV": AttackPath(
        lambda world, case, port: world.website_with(delegation(world.service_at(world.name_at(case.ip), port))),
        AT_TCP,
    ),
    "redirect, literal": AttackPath(
        lambda world, case, port: world.website_with(redirected(case.host, port)), AT_A_HOP, by_text=True
    ),
    "redirect, by name": AttackPath(
        lambda world, case, port: world.website_with(redirected(world.name_at(case.ip), port)), AT_A_HOP
    ),
}
