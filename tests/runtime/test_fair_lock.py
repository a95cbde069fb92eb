"""Clients take turns at a lock."""

import asyncio

from exporter.runtime.fair_lock import FairLock


def waiting(lock: FairLock, clients: str, served: list[str]) -> list[asyncio.Task[None]]:
    """Let each client, a letter, ask for the lock in this order."""

    async def ask(client: str) -> None:
        await lock.acquire(client)
        served.append(client)
        await asyncio.sleep(0)
        lock.release()

    return [asyncio.create_task(ask(client)) for client in clients]


async def test_clients_take_turns() -> None:
    """However often one of them asks."""
    lock, served = FairLock(), list[str]()
    await asyncio.gather(*waiting(lock, "aaaaabbc", served))
    assert "".join(served) == "aabcabaa"
    assert repr(lock) == "<FairLock: free, 0 clients wait>"


async def test_nobody_waits_for_a_free_lock() -> None:
    lock = FairLock()
    for _ in range(2):
        await lock.acquire("a")
        assert repr(lock) == "<FairLock: held, 0 clients wait>"
        lock.release()


async def test_a_client_may_give_up() -> None:
    """While it waits, and in the moment in which its turn has come."""
    lock, served = FairLock(), list[str]()
    await lock.acquire("first")
    gives_up, has_its_turn, *_ = tasks = waiting(lock, "abc", served)
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.sleep(0)
    lock.release()
    has_its_turn.cancel()
    await asyncio.wait(tasks)
    assert served == ["c"]
    await lock.acquire("again")
