from exporter.runtime.lru import LruCache


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    memory: LruCache[str, int] = LruCache(2)
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_what_is_kept_again_replaces_the_old() -> None:
    memory: LruCache[str, int] = LruCache(2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.put("a", 3)
    memory.put("c", 4)
    assert [memory.get(key) for key in "abc"] == [3, None, 4]


def test_nothing_is_kept_without_room() -> None:
    memory: LruCache[str, int] = LruCache(0)
    memory.put("a", 1)
    assert memory.get("a") is None


def test_what_weighs_more_takes_more_room() -> None:
    memory: LruCache[str, str] = LruCache(5, len)
    for key, value in {"a": "12", "b": "12", "c": "1"}.items():
        memory.put(key, value)
    assert [memory.get(key) for key in "abc"] == ["12", "12", "1"]
    memory.put("d", "123")
    assert [memory.get(key) for key in "abcd"] == [None, None, "1", "123"]


def test_what_is_replaced_or_forgotten_weighs_nothing() -> None:
    memory: LruCache[str, str] = LruCache(5, len)
    memory.put("a", "12345")
    memory.put("a", "1")
    memory.put("b", "1234")
    assert [memory.get(key) for key in "ab"] == ["1", "1234"]
    memory.discard("b")
    memory.put("c", "1234")
    assert [memory.get(key) for key in "abc"] == ["1", None, "1234"]


def test_what_was_never_there_can_be_forgotten() -> None:
    memory: LruCache[str, int] = LruCache(1)
    memory.put("a", 1)
    memory.discard("a")
    memory.discard("a")
    assert memory.get("a") is None
