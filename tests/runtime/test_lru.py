from exporter.runtime.lru import LruCache


def test_discards_the_least_recently_used_entry() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_an_entry_with_the_same_key_is_replaced() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert [cache.get(key) for key in "abc"] == [3, None, 4]


def test_a_cache_without_capacity_keeps_nothing() -> None:
    cache: LruCache[str, int] = LruCache(0)
    cache.put("a", 1)
    assert cache.get("a") is None


def test_the_capacity_limits_the_sum_of_the_weights() -> None:
    cache: LruCache[str, str] = LruCache(5, len)
    for key, value in {"a": "12", "b": "12", "c": "1"}.items():
        cache.put(key, value)
    assert [cache.get(key) for key in "abc"] == ["12", "12", "1"]
    cache.put("d", "123")
    assert [cache.get(key) for key in "abcd"] == [None, None, "1", "123"]


def test_replaced_and_discarded_entries_free_their_weight() -> None:
    cache: LruCache[str, str] = LruCache(5, len)
    cache.put("a", "12345")
    cache.put("a", "1")
    cache.put("b", "1234")
    assert [cache.get(key) for key in "ab"] == ["1", "1234"]
    cache.discard("b")
    cache.put("c", "1234")
    assert [cache.get(key) for key in "abc"] == ["1", None, "1234"]


def test_a_missing_entry_can_be_discarded() -> None:
    cache: LruCache[str, int] = LruCache(1)
    cache.put("a", 1)
    cache.discard("a")
    cache.discard("a")
    assert cache.get("a") is None


def test_len_and_repr_show_the_state() -> None:
    cache: LruCache[str, str] = LruCache(5, len)
    cache.put("a", "123")
    assert (len(cache), repr(cache)) == (1, "<LruCache: 1 entries, 3 of 5>")
