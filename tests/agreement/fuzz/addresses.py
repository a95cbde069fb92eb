"""The addresses of a name, and the SRV records that lead to it."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.agreement.fuzz.draw import USUAL
from tests.agreement.served import engine


def _address(**families: bool) -> Callable[[Any, str, int], list[str]]:
    """Return addresses that are all served."""

    def addresses(f: Any, name: str, host: int) -> list[str]:
        f.address(name, host=host, **families)
        return [f.v4(host)] * families.get("v4", True) + [f.v6(host)] * families.get("v6", False)

    return addresses


def _dual(*, serve_v4: bool, serve_v6: bool) -> Callable[[Any, str, int], list[str]]:
    """Return those that are served of a name with two addresses."""

    def addresses(f: Any, name: str, host: int) -> list[str]:
        f.address(name, v6=True, host=host)
        return [f.v4(host)] * serve_v4 + [f.v6(host)] * serve_v6

    return addresses


def _faulty(kind: str, **fault: Any) -> Callable[[Any, str, int], list[str]]:
    """Return the IPv4 address of a name whose other question fails."""

    def addresses(f: Any, name: str, host: int) -> list[str]:
        f.address(name, host=host)
        f.dns_fault(name, kind, **fault)
        return [f.v4(host)]

    return addresses


def _both_faulty(rcode: str) -> Callable[[Any, str, int], list[str]]:
    def addresses(f: Any, name: str, host: int) -> list[str]:
        for kind in ("A", "AAAA"):
            f.dns_fault(name, kind, rcode=rcode)
        return [f.v4(host)]

    return addresses


def _several(*served: int) -> Callable[[Any, str, int], list[str]]:
    """Return those of several IPv4 addresses that are served: 1 is, 0 refuses."""

    def addresses(f: Any, name: str, host: int) -> list[str]:
        hosts = [host + 20 * number for number in range(len(served))]
        for each in hosts:
            f.address(name, host=each)
        return [f.v4(each) for each, is_served in zip(hosts, served, strict=True) if is_served]

    return addresses


def _elsewhere(kind: str, address: str, *, beside_ipv4: bool) -> Callable[[Any, str, int], list[str]]:
    def addresses(f: Any, name: str, host: int) -> list[str]:
        f.record(name, kind, address)
        return _address()(f, name, host) if beside_ipv4 else []

    return addresses


def _alias(f: Any, name: str, host: int) -> list[str]:
    f.record(name, "CNAME", f"real.{name}.")
    return _address()(f, f"real.{name}", host)


def _alias_of_alias(f: Any, name: str, host: int) -> list[str]:
    f.record(name, "CNAME", f"middle.{name}.")
    return _alias(f, f"middle.{name}", host)


def _dangling_alias(f: Any, name: str, _host: int) -> list[str]:
    f.record(name, "CNAME", f"gone.{name}.")
    return []


ADDRESSES: Final[Mapping[str, Callable[[Any, str, int], list[str]]]] = {
    # A name and the number of its host -> the addresses that are served.
    USUAL: _address(),
    "IPv6": _address(v4=False, v6=True),
    "dual stack": _dual(serve_v4=True, serve_v6=True),
    "IPv6 refuses": _dual(serve_v4=True, serve_v6=False),
    "IPv4 refuses": _dual(serve_v4=False, serve_v6=True),
    "refused": _dual(serve_v4=False, serve_v6=False),
    "an alias": _alias,
    "an alias of an alias": _alias_of_alias,
    "a dangling alias": _dangling_alias,
    "none": lambda *_: [],
    **{f"AAAA {rcode}": _faulty("AAAA", rcode=rcode) for rcode in ("SERVFAIL", "REFUSED", "NXDOMAIN", "NOTIMP")},
    **{f"A and AAAA {rcode}": _both_faulty(rcode) for rcode in ("SERVFAIL", "REFUSED", "NXDOMAIN")},
    "two": _several(1, 1),
    "one of two refuses": _several(0, 1),
    "two of three refuse": _several(0, 1, 0),
    "no route": _elsewhere("A", engine.NO_ROUTE, beside_ipv4=False),
    "unreachable": _elsewhere("A", engine.HOST_UNREACHABLE, beside_ipv4=False),
    "no route to one of two": _elsewhere("A", engine.NO_ROUTE, beside_ipv4=True),
    "IPv6 without a route": _elsewhere("AAAA", "2001:db9::1", beside_ipv4=True),
    "0.0.0.0": _elsewhere("A", "0.0.0.0", beside_ipv4=False),
    "loopback": _elsewhere("A", "127.0.0.1", beside_ipv4=False),
    "IPv6 loopback beside IPv4": _elsewhere("AAAA", "::1", beside_ipv4=True),
}

SRV_PORT: Final = 9000
_CLOSED: Final = 9001


def _srv(f: Any, host: str, *records: tuple[str, int, int], service: str = "_matrix-fed") -> None:
    """Add records of a priority, a port and a target."""
    for target, priority, port in records:
        f.srv(target, port, owner=host, service=service, priority=priority)


def _record(service: str = "_matrix-fed", port: int = SRV_PORT, **fault: Any) -> Callable[[Any, str], tuple[str, int]]:
    def srv(f: Any, host: str) -> tuple[str, int]:
        target = f"target.{host}"
        _srv(f, host, (target, 10, port), service=service)
        if fault:
            f.srv_fault("_matrix-fed", owner=host, **fault)
        return target, SRV_PORT

    return srv


def _fault(*services: str, **fault: Any) -> Callable[[Any, str], tuple[str, int]]:
    """Return a fault of these services beside a homeserver at 8448."""

    def srv(f: Any, host: str) -> tuple[str, int]:
        f.srv_fault(*services, owner=host, **fault)
        return host, 8448

    return srv


def _with(*records: tuple[str, str, int, int]) -> Callable[[Any, str], tuple[str, int]]:
    """Return records of a service, a target (`HOST` is the host), a priority and a port."""

    def srv(f: Any, host: str) -> tuple[str, int]:
        for service, target, priority, port in records:
            _srv(f, host, (target.replace("HOST", host), priority, port), service=service)
        return f"target.{host}", SRV_PORT

    return srv


def _to_ip(f: Any, host: str) -> tuple[str, int]:
    _srv(f, host, (f.v4(4), 10, SRV_PORT))
    return f"target.{host}", SRV_PORT


def _alias_of_owner(f: Any, host: str) -> tuple[str, int]:
    f.record(f"_matrix-fed._tcp.{host}", "CNAME", f"_matrix-fed._tcp.hosting.{host}.")
    _srv(f, f"hosting.{host}", (f"target.{host}", 10, SRV_PORT))
    return f"target.{host}", SRV_PORT


def _service_unavailable(service: str) -> Callable[[Any, str], tuple[str, int]]:
    def srv(f: Any, host: str) -> tuple[str, int]:
        f.record(f"{service}._tcp.{host}", "SRV", "0 0 0 .")
        return host, 8448

    return srv


_FED, _LEGACY = "_matrix-fed", "_matrix"

SRV: Final[Mapping[str, Callable[[Any, str], tuple[str, int]]]] = {
    # A host -> the name whose addresses serve the homeserver, and at which port.
    USUAL: lambda _, host: (host, 8448),
    "a record": _record(),
    "a record of _matrix": _record(_LEGACY),
    "both services, legacy closed": _with((_FED, "target.HOST", 1, SRV_PORT), (_LEGACY, "target.HOST", 1, _CLOSED)),
    "both services, the first closed": _with((_FED, "target.HOST", 1, _CLOSED), (_LEGACY, "target.HOST", 1, SRV_PORT)),
    "the first of two is closed": _with((_FED, "target.HOST", 1, _CLOSED), (_FED, "target.HOST", 2, SRV_PORT)),
    "the second of two is closed": _with((_FED, "target.HOST", 1, SRV_PORT), (_FED, "target.HOST", 2, _CLOSED)),
    "one of two alike is closed": _with((_FED, "target.HOST", 1, SRV_PORT), (_FED, "target.HOST", 1, _CLOSED)),
    "the first of two does not exist": _with((_FED, "gone.HOST", 1, SRV_PORT), (_FED, "target.HOST", 2, SRV_PORT)),
    "the target does not exist": _with((_FED, "gone.HOST", 1, SRV_PORT)),
    "the target in capitals": _with((_FED, "TARGET.HOST", 1, SRV_PORT)),
    "40 records": _with(
        (_FED, "target.HOST", 1, SRV_PORT), *((_FED, f"a-long-name-to-fill-{each}.HOST", 2, 9000) for each in range(40))
    ),
    "an earlier record is less preferred": _with((_FED, "gone.HOST", 20, SRV_PORT), (_FED, "target.HOST", 1, SRV_PORT)),
    "an underscore in the target": _with((_FED, "a_b.HOST", 1, SRV_PORT), (_FED, "target.HOST", 2, SRV_PORT)),
    "port 443": _with((_FED, "target.HOST", 1, 443), (_FED, "target.HOST", 2, SRV_PORT)),
    "both services": _with((_FED, "target.HOST", 1, SRV_PORT), (_LEGACY, "target.HOST", 1, SRV_PORT)),
    "the target is an IPv4 address": _to_ip,
    "port 0": _with((_FED, "target.HOST", 1, 0)),
    "port 0 before a good one": _with((_FED, "target.HOST", 1, 0), (_FED, "target.HOST", 2, SRV_PORT)),
    "no service": _service_unavailable(_FED),
    "no service of _matrix": _service_unavailable(_LEGACY),
    "the owner is an alias": _alias_of_owner,
    **{
        f"{services[0]} {rcode}": _fault(*services, rcode=rcode)
        for services in ((_FED,), (_LEGACY,))
        for rcode in ("SERVFAIL", "REFUSED", "NOTIMP", "FORMERR", "NXDOMAIN")
    },
    "SERVFAIL beside a record of _matrix": _record(_LEGACY, rcode="SERVFAIL"),
    "NOTIMP beside a record of _matrix": _record(_LEGACY, rcode="NOTIMP"),
    "NXDOMAIN beside a record of _matrix": _record(_LEGACY, rcode="NXDOMAIN"),
}
