import asyncio
import gc
import importlib
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from exporter.runtime import event_loop


@pytest.fixture(autouse=True)
def restore_module() -> Iterator[None]:
    threshold, switch_interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(switch_interval)
    importlib.reload(event_loop)


async def event_loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_used_if_it_is_installed() -> None:
    assert event_loop.run(event_loop_module()) == "uvloop"


def test_asyncio_is_used_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert importlib.reload(event_loop).run(event_loop_module()) == "asyncio.unix_events"


def test_threads_take_turns_more_often() -> None:
    """The event loop goes on after a millisecond while a thread renders a page."""
    sys.setswitchinterval(1)
    event_loop.run(event_loop_module())
    assert sys.getswitchinterval() == pytest.approx(event_loop.SWITCH_SECONDS)


@pytest.mark.parametrize(("servers", "collections"), [(0, 10), (500, 10), (1_000, 20), (20_000, 400)])
def test_full_garbage_collections_are_rarer_with_more_servers(servers: int, collections: int) -> None:
    """With 20,000 servers, a full collection stalls all probes for 40 ms; with few, it costs nothing."""
    young, middle, _ = gc.get_threshold()
    event_loop.collect_garbage_for(servers)
    assert gc.get_threshold() == (young, middle, collections)


def test_many_new_servers_are_exempt_from_garbage_collections() -> None:
    """They are still freed when nothing refers to them. What is made later is not exempt."""
    servers = Node()
    event_loop.exempt_new_servers(1000)
    later = Node()
    assert (is_tracked(servers), is_tracked(later)) == (False, True)
    freed = weakref.ref(servers)
    del servers
    assert freed() is None


def test_a_few_new_servers_are_not_worth_it() -> None:
    event_loop.exempt_new_servers(999)
    assert gc.get_freeze_count() == 0


def test_young_garbage_is_collected() -> None:
    """Objects that stay are then old: only a full collection traverses them again."""
    node, cycle = Node(), Node()
    cycle.itself = cycle
    freed = weakref.ref(cycle)
    del cycle
    event_loop.collect_young_garbage()
    assert freed() is None
    assert any(each is node for each in gc.get_objects(2))


class Node:
    """Something of which the garbage collector keeps track."""

    itself: "Node"


def is_tracked(node: Node) -> bool:
    return any(each is node for each in gc.get_objects())


GROW_AND_FREE = """
import asyncio, ctypes, os, sys
from threading import Barrier, Lock
from exporter.runtime import event_loop

malloc, free = (getattr(ctypes.CDLL(None), name) for name in ("malloc", "free"))
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def grow_and_free(blocks, size):
    addresses = []
    for _ in range(blocks):
        addresses.append(malloc(size))
        ctypes.memset(ctypes.c_void_p(addresses[-1]), 1, size)
        malloc(1 << 10)  # something that stays behind
    for address in addresses:
        free(address)

async def large_blocks():
    free(malloc(1 << 20))  # glibc learns that blocks of this size come and go
    grow_and_free(200, 256 << 10)

async def threads():
    turn, all_were_busy = Lock(), Barrier(5)
    def work():
        with turn:
            grow_and_free(320, 64 << 10)
        all_were_busy.wait()
    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(5)))

main = globals()[sys.argv[1]]
(event_loop.run if sys.argv[2] == "ours" else asyncio.run)(main())
print(int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures with /proc")
@pytest.mark.parametrize("main", ["large_blocks", "threads"])
def test_what_is_freed_is_returned_to_the_system(main: str) -> None:
    """Buffers of 256 KiB, between which something small is still in use; 20 MiB in each of five threads, in turn."""
    ours, default = (
        int(subprocess.check_output([sys.executable, "-c", GROW_AND_FREE, main, loop])) for loop in ("ours", "asyncio")
    )
    assert default - ours > 40
