# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name-value lists in the XDR encoding (RFC 4506) that libnvpair packs and ZFS keeps in its labels. All integers big-endian.

    stream   0  1  encoding: 1 = XDR     1  1  byte order of the writer (has no meaning in XDR)     2  2  reserved     4  list
    list     0  4  version: 0            4  4  flags                        8  pairs, ended by two sizes of 0
    pair     0  4  encoded size, with these eight bytes     4  4  size in memory     8  name (XDR string)
             then  4  type               4  number of elements              value

    value    byte, int8, uint8, int16, uint16, int32, uint32, boolean value: one unit of 4 bytes; int64, uint64, double, time: 8 bytes
             string: 4 length, bytes, padding to 4      array of bytes: the bytes, padding to 4      array of strings: the strings
             array of numbers or booleans: 4 count, then the elements as above      list: the list      array of lists: the lists

A list is valid if and only if (1) everything lies inside its pair and the pair inside the buffer, (2) version is 0, (3) the value of a
known type fills its pair to the last byte, (4) counts agree, (5) it is nested no deeper than MAX_DEPTH. A pair of an unknown type is
skipped by its size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Optional

from asl.errors import Damaged

MAX_DEPTH = 24  # a vdev inside of a vdev inside of … needs two levels each; no pool has more than five
XDR = 1

_LIST = struct.Struct(">iI")
_PAIR = struct.Struct(">ii")
_TYPE = struct.Struct(">II")
_COUNT = struct.Struct(">I")
_SMALLEST_LIST = _LIST.size + _PAIR.size

BOOLEAN, STRING, BYTE_ARRAY, STRING_ARRAY, NVLIST, NVLIST_ARRAY = 1, 9, 10, 17, 19, 20
# one element: its struct, and how it is given to the reader
_NUMBERS: Mapping[int, tuple[struct.Struct, Callable[[Any], Any]]] = {
    2: (struct.Struct(">I"), lambda value: value & 0xFF),  # byte
    3: (struct.Struct(">i"), int),  # int16
    4: (struct.Struct(">I"), int),  # uint16
    5: (struct.Struct(">i"), int),  # int32
    6: (struct.Struct(">I"), int),  # uint32
    7: (struct.Struct(">q"), int),  # int64
    8: (struct.Struct(">Q"), int),  # uint64
    18: (struct.Struct(">q"), int),  # time in nanoseconds
    21: (struct.Struct(">I"), bool),  # boolean value
    22: (struct.Struct(">i"), int),  # int8
    23: (struct.Struct(">I"), lambda value: value & 0xFF),  # uint8
    27: (struct.Struct(">d"), float),  # double
}
_ARRAYS = {11: 3, 12: 4, 13: 5, 14: 6, 15: 7, 16: 8, 24: 21, 25: 22, 26: 23}  # type of the array: type of its elements


def decode(data: bytes) -> dict[str, Any]:
    """The list at the beginning of ``data``; what follows its end is not looked at.

    Numbers are int, flags without a value are True, strings str, arrays list, arrays of bytes are hexadecimal str, lists dict: all of it
    can be written as JSON. Of two pairs with one name the last counts. Raises Damaged, and nothing else, for whatever is wrong.
    """
    if len(data) < _COUNT.size + _SMALLEST_LIST:
        raise _damaged("it is cut off")
    if data[0] != XDR:
        raise _damaged(f"its encoding is {data[0]}, not XDR")
    return _Reader(data, _COUNT.size, len(data)).list_of_pairs(0)


def _damaged(why: str) -> Damaged:
    return Damaged(f"the name-value list cannot be read: {why}", reason="NVLIST_DAMAGED")


class _Reader:
    """Reads from ``at`` on, never past ``end``."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._at = at
        self._end = end

    def list_of_pairs(self, depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise _damaged(f"it is nested deeper than {MAX_DEPTH} levels")
        version, _flags = self._unpack(_LIST)
        if version != 0:
            raise _damaged(f"its version is {version}")
        pairs: dict[str, Any] = {}
        while True:
            start = self._at
            encoded, decoded = self._unpack(_PAIR)
            if encoded == 0 and decoded == 0:
                return pairs
            if encoded <= _PAIR.size or encoded > self._end - start:
                raise _damaged(f"the pair at byte {start} says that it has {encoded} bytes")
            pair = _Reader(self._data, self._at, start + encoded)
            name = pair.text()
            value = pair.value(depth)
            self._at = start + encoded
            if value is not None:
                pairs[name] = value

    def value(self, depth: int) -> Optional[Any]:
        """The value of a pair; None when its type is not known."""
        kind, count = self._unpack(_TYPE)
        if kind in _NUMBERS:
            value = self._number(kind)
        elif kind in _ARRAYS:
            value = self._numbers(_ARRAYS[kind], count)
        elif kind in (NVLIST, NVLIST_ARRAY):
            value = self._lists(kind, count, depth + 1)
        elif kind in (BOOLEAN, STRING, BYTE_ARRAY, STRING_ARRAY):
            value = self._texts(kind, count)
        else:
            return None
        if self._at != self._end:
            raise _damaged(f"a value of type {kind} ends {self._end - self._at} bytes before its pair")
        return value

    def _lists(self, kind: int, count: int, depth: int) -> Any:
        if kind == NVLIST:
            return self.list_of_pairs(depth)
        self._enough(count, _SMALLEST_LIST)
        return [self.list_of_pairs(depth) for _each in range(count)]

    def _texts(self, kind: int, count: int) -> Any:
        if kind == STRING_ARRAY:
            self._enough(count, _COUNT.size)
            return [self.text() for _each in range(count)]
        if kind == BYTE_ARRAY:
            return self._opaque(count).hex()
        return self.text() if kind == STRING else True

    def text(self) -> str:
        (length,) = self._unpack(_COUNT)
        return self._opaque(length).decode("utf-8", "replace")

    def _number(self, kind: int) -> Any:
        layout, convert = _NUMBERS[kind]
        return convert(self._unpack(layout)[0])

    def _numbers(self, kind: int, count: int) -> list[Any]:
        (again,) = self._unpack(_COUNT)
        if again != count:
            raise _damaged(f"an array says {count} elements and then {again}")
        self._enough(count, _NUMBERS[kind][0].size)
        return [self._number(kind) for _each in range(count)]

    def _enough(self, count: int, size: int) -> None:
        if count > (self._end - self._at) // size:
            raise _damaged(f"{count} elements do not fit into {self._end - self._at} bytes")

    def _opaque(self, length: int) -> bytes:
        padded = length + -length % 4
        if padded > self._end - self._at:
            raise _damaged(f"{length} bytes are announced where {self._end - self._at} are left")
        found = self._data[self._at : self._at + length]
        self._at += padded
        return found

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        if layout.size > self._end - self._at:
            raise _damaged("it is cut off")
        found = layout.unpack_from(self._data, self._at)
        self._at += layout.size
        return found
