"""Python in a namespace of its own, for the network or for mounts, which has nothing but what shell commands set up. It
takes root, and Linux.

A namespace goes when the last process in it has ended, with everything in it.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, TextIO

import pytest

from tests.programs import ADMINISTRATORS_FOLDER, program

_ROOT: Final = Path(__file__).parents[1]
CABLE: Final = (
    "ip link add left type veth peer name right",
    "ip link set left up",
    "ip link set right up",
)
"""A network of two interfaces that are connected to each other."""
IPV4: Final = (
    *CABLE,
    "ip addr add 198.51.100.2/24 dev left",
    "ip route add default via 198.51.100.1",
)
IPV6: Final = (
    *CABLE,
    "ip addr add 2001:db9::2/64 dev left nodad",
    "ip -6 route add default via 2001:db9::1",
)
BEHIND_ROUTER: Final = (
    "unshare --net sleep 300 & ROUTER=$!",
    "trap 'kill $ROUTER' EXIT",
    'until [ "$(readlink /proc/$ROUTER/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.05; done',
    "ip link add left type veth peer name right netns $ROUTER",
    "ip link set left up",
    "ip addr add 10.0.0.1/24 dev left",
    "ip addr add fd00::1/64 dev left nodad",
    "ip route add default via 10.0.0.2",
    "ip -6 route add default via fd00::2",
    "router() { nsenter --target $ROUTER --net ip $*; }",
    "router link set right up",
    "router addr add 10.0.0.2/24 dev right",
    "router addr add fd00::2/64 dev right nodad",
    "nsenter --target $ROUTER --net sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    "router route add prohibit 203.0.113.0/24",
    "router route add unreachable 198.51.100.0/24",
    "router -6 route add prohibit 2001:db9:1::/64",
    "router -6 route add unreachable 2001:db9:2::/64",
)
"""A router, in a namespace of its own, that answers for 203.0.113.0/24 and 2001:db9:1::/64 as a firewall does that
rejects everything, and for 198.51.100.0/24 and 2001:db9:2::/64 as a router that has no route.
"""

APART: Final = ("--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc")
"""Options of `unshare` for a network, mounts and processes of one's own, none of which outlives what runs there."""
STAR_CENTRE: Final = "10.16.0.1"
STAR_CENTRE_IPV6: Final = "fd00:16::1"


def star(names: Sequence[str]) -> list[str]:
    """Return the commands that connect a network for each name to this one, which is in the middle, at STAR_CENTRE.

    The first is 10.16.1.2 and fd00:16:1::2, the second 10.16.2.2 and fd00:16:2::2, and the interfaces to them have
    their names. `ip rule` can filter what comes from them, also to the middle, where their resolver has to be.
    """
    commands = [
        "mount -t tmpfs tmpfs /run",
        f"printf 'nameserver {STAR_CENTRE}\\noptions timeout:2\\n' >/run/resolv.conf",
        "mount --bind /run/resolv.conf /etc/resolv.conf",
        f"ip addr add {STAR_CENTRE}/32 dev lo",
        f"ip addr add {STAR_CENTRE_IPV6}/128 dev lo nodad",
        *(f"ip {family} rule add pref 1000 lookup local" for family in ("-4", "-6")),  # after all rules that filter
        *(f"ip {family} rule del pref 0" for family in ("-4", "-6")),
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ]
    for number, name in enumerate(names, 1):
        commands += [
            f"ip netns add {name}",
            f"ip link add {name} type veth peer name out netns {name}",
            f"ip link set {name} up",
            f"ip addr add 10.16.{number}.1/24 dev {name}",
            f"ip addr add fd00:16:{number}::1/64 dev {name} nodad",
            f"ip -n {name} link set lo up",
            f"ip -n {name} link set out up",
            f"ip -n {name} addr add 10.16.{number}.2/24 dev out",
            f"ip -n {name} addr add fd00:16:{number}::2/64 dev out nodad",
            f"ip -n {name} route add default via 10.16.{number}.1",
            f"ip -n {name} -6 route add default via fd00:16:{number}::1",
        ]
    return commands


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let this thread, and the programs that it starts meanwhile, use a network that `ip netns` has named."""
    with Path("/proc/thread-self/ns/net").open() as own, Path("/run/netns", name).open() as other:
        _enter(other)
        try:
            yield
        finally:
            _enter(own)


def _enter(namespace: TextIO) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # Python has os.setns from 3.12 on
    if libc.setns(namespace.fileno(), 0):
        raise OSError(ctypes.get_errno(), namespace.name)


def run_python(code: str, setup: Sequence[str] = ()) -> str:
    """Run Python code with a network of its own, after some commands of the shell, and return what it prints."""
    program("ip")
    return _run_python(("--net",), code, ["ip link set lo up", *setup])


def run_python_apart(code: str, setup: Sequence[str]) -> str:
    """Run Python code as `run_python` does, but with mounts and processes of its own as well: all end with it."""
    program("ip")
    return _run_python(APART, code, ["ip link set lo up", *setup])


def run_python_with_mounts(code: str, setup: Sequence[str]) -> str:
    """Run Python code with file systems of its own, after some commands of the shell, and return what it prints."""
    return _run_python(("--mount",), code, setup)


def _run_python(namespaces: Sequence[str], code: str, setup: Sequence[str]) -> str:
    if not _are_available(*namespaces):
        pytest.skip("it takes root to make namespaces, and a container must be privileged")
    script = "\n".join(["set -e", *setup, '"$0" -c "$1"'])
    finished = subprocess.run(
        [program("unshare"), *namespaces, "sh", "-c", script, sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PATH": f"{os.environ['PATH']}:{ADMINISTRATORS_FOLDER}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@cache
def _are_available(*namespaces: str) -> bool:
    command = [program("unshare"), *namespaces, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
