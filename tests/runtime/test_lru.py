from exporter.runtime.lru import Memory


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.keep("a", 1)
    memory.keep("b", 2)
    assert memory.recall("a") == 1
    memory.keep("c", 3)
    assert [memory.recall(key) for key in "abc"] == [1, None, 3]


def test_what_is_kept_again_replaces_the_old() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.keep("a", 1)
    memory.keep("b", 2)
    memory.keep("a", 3)
    memory.keep("c", 4)
    assert [memory.recall(key) for key in "abc"] == [3, None, 4]


def test_nothing_is_kept_without_room() -> None:
    memory: Memory[str, int] = Memory(0)
    memory.keep("a", 1)
    assert memory.recall("a") is None


def test_what_weighs_more_takes_more_room() -> None:
    memory: Memory[str, str] = Memory(5, len)
    for key, value in {"a": "12", "b": "12", "c": "1"}.items():
        memory.keep(key, value)
    assert [memory.recall(key) for key in "abc"] == ["12", "12", "1"]
    memory.keep("d", "123")
    assert [memory.recall(key) for key in "abcd"] == [None, None, "1", "123"]


def test_what_is_replaced_or_forgotten_weighs_nothing() -> None:
    memory: Memory[str, str] = Memory(5, len)
    memory.keep("a", "12345")
    memory.keep("a", "1")
    memory.keep("b", "1234")
    assert [memory.recall(key) for key in "ab"] == ["1", "1234"]
    memory.forget("b")
    memory.keep("c", "1234")
    assert [memory.recall(key) for key in "abc"] == ["1", None, "1234"]


def test_what_was_never_there_can_be_forgotten() -> None:
    memory: Memory[str, int] = Memory(1)
    memory.keep("a", 1)
    memory.forget("a")
    memory.forget("a")
    assert memory.recall("a") is None
