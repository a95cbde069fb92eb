"""Values packed to bytes, for what is kept of thousands of servers.

The state of one server is made of a hundred objects, which take 9 KiB, and which the garbage collector traverses.
Packed, it takes less than a kilobyte, and is not traversed.
"""

import pickle
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from io import BytesIO
from operator import attrgetter, methodcaller
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

_PROTOCOL: Final = pickle.HIGHEST_PROTOCOL
_LEVEL: Final = 1  # of zlib, the fastest; the best one gains 3 %
_MAX_DICTIONARY: Final = 8192  # bytes; a long one makes packing slower

_Value = TypeVar("_Value")
_Reducer: TypeAlias = Callable[[Any], tuple[Any, ...]]


class _Reducers(dict[type, _Reducer]):
    """How objects are pickled, by their type. Python's own way for dataclasses with slots takes twice as long."""

    def __missing__(self, kind: type) -> _Reducer:
        if issubclass(kind, type):
            raise KeyError(kind)  # a class is pickled by its name
        self[kind] = _dataclass_reducer(kind) if is_dataclass(kind) else methodcaller("__reduce_ex__", _PROTOCOL)
        return self[kind]


def _dataclass_reducer(kind: type) -> _Reducer:
    """Return what pickles a dataclass as the type and the values of the fields, with which the type is called again."""
    names = [each.name for each in fields(kind)]
    if len(names) > 1:
        values_of = attrgetter(*names)
        return lambda value: (kind, values_of(value))
    return lambda value: (kind, tuple(getattr(value, name) for name in names))


class _Pickler(pickle.Pickler):
    dispatch_table = _Reducers()


class Packer(Generic[_Value]):
    """Packs values that are much alike, and unpacks those that it has packed, in any thread.

    They are immutable, made of dataclasses, enums, times, and built-in types.
    """

    def __init__(self) -> None:
        self._dictionary = b""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with a dictionary of {len(self._dictionary)} bytes>"

    def pack(self, value: _Value, *, typical: bool) -> bytes:
        """Return a value as bytes. The first typical one is the dictionary for all that follow (RFC 1950, 2.2)."""
        buffer = BytesIO()
        _Pickler(buffer, _PROTOCOL).dump(value)
        pickled = buffer.getvalue()
        compressor = zlib.compressobj(_LEVEL, zdict=self._dictionary)
        packed = compressor.compress(pickled) + compressor.flush()
        if typical and not self._dictionary and len(pickled) <= _MAX_DICTIONARY:
            self._dictionary = pickled
        return packed

    def unpack(self, packed: bytes) -> _Value:
        """Return a value that is equal to the one from which `pack` has made these bytes."""
        pickled = zlib.decompressobj(zdict=self._dictionary).decompress(packed)
        return cast("_Value", pickle.loads(pickled))  # noqa: S301 - pickled above
