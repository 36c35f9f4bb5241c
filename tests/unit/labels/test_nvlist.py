# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name-value lists: every type, and bytes that want to do harm."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asl.errors import Damaged
from asl.survey import nvlist

from .support import Typed, body, encode, pair, typed

EVERY_TYPE: dict[str, tuple[Typed, Any]] = {
    "flag": ((1, None), True),
    "byte": ((2, 200), 200),
    "int16": ((3, -5), -5),
    "uint16": ((4, 65535), 65535),
    "int32": ((5, -(2**31)), -(2**31)),
    "uint32": ((6, 2**32 - 1), 2**32 - 1),
    "int64": ((7, -(2**63)), -(2**63)),
    "uint64": ((8, 2**64 - 1), 2**64 - 1),
    "string": ((9, "räume"), "räume"),
    "bytes": ((10, b"\x00\xff\x10"), "00ff10"),
    "int16s": ((11, [-1, 1]), [-1, 1]),
    "uint16s": ((12, [1]), [1]),
    "int32s": ((13, [-7]), [-7]),
    "uint32s": ((14, [7, 8]), [7, 8]),
    "int64s": ((15, [-1]), [-1]),
    "uint64s": ((16, [2**64 - 1, 0]), [2**64 - 1, 0]),
    "strings": ((17, ["a", "", "abcd"]), ["a", "", "abcd"]),
    "time": ((18, 5), 5),
    "list": ((19, {"inside": (8, 1)}), {"inside": 1}),
    "lists": ((20, [{"a": (8, 1)}, {}]), [{"a": 1}, {}]),
    "yes": ((21, 1), True),
    "int8": ((22, -1), -1),
    "uint8": ((23, 255), 255),
    "booleans": ((24, [1, 0]), [True, False]),
    "int8s": ((25, [-1]), [-1]),
    "uint8s": ((26, [9]), [9]),
    "double": ((27, 0.5), 0.5),
}


@pytest.mark.parametrize("name", sorted(EVERY_TYPE))
def test_every_type(name: str) -> None:
    written, read = EVERY_TYPE[name]
    assert nvlist.decode(encode({"before": (8, 1), name: written, "after": (9, "x")})) == {"before": 1, name: read, "after": "x"}


def test_what_follows_the_end_is_not_looked_at() -> None:
    assert nvlist.decode(encode({"a": (8, 1)}) + b"\xff" * 100) == {"a": 1}


def test_a_type_nobody_knows_is_passed_over() -> None:
    data = b"\x01\x01\x00\x00" + struct.pack(">iI", 0, 1) + pair("new", 99, b"12345678") + pair("old", 8, 5) + bytes(8)
    assert nvlist.decode(data) == {"old": 5}


def nested(depth: int) -> bytes:
    data = body({"end": (8, 1)})
    for _ in range(depth):
        inside = struct.pack(">I", 1) + b"v\0\0\0" + struct.pack(">II", 19, 1) + data
        data = struct.pack(">iI", 0, 1) + struct.pack(">ii", len(inside) + 8, 0) + inside + bytes(8)
    return b"\x01\x00\x00\x00" + data


def test_depth() -> None:
    assert nvlist.decode(nested(nvlist.MAX_DEPTH))
    with pytest.raises(Damaged, match="deeper"):
        nvlist.decode(nested(nvlist.MAX_DEPTH + 1))


def one(name: bytes, kind: int, count: int, value: bytes, size: int = 0) -> bytes:
    inside = struct.pack(">I", len(name)) + name.ljust(-(-len(name) // 4) * 4, b"\0") + struct.pack(">II", kind, count) + value
    return b"\x01\x00\x00\x00" + struct.pack(">iI", 0, 1) + struct.pack(">ii", size or len(inside) + 8, 0) + inside + bytes(8)


HOSTILE = {
    "nothing": b"",
    "only a header": b"\x01\x01\x00\x00",
    "native encoding": b"\x00" + encode({"a": (8, 1)})[1:],
    "another version": b"\x01\x01\x00\x00" + struct.pack(">iI", 7, 1) + bytes(8),
    "no end": encode({"a": (8, 1)})[:-8],
    "a pair of negative size": one(b"a", 8, 1, bytes(8), size=-1),
    "a pair larger than the list": one(b"a", 8, 1, bytes(8), size=1 << 20),
    "a pair smaller than its head": one(b"a", 8, 1, bytes(8), size=8),
    "a pair that never ends": one(b"a", 8, 1, bytes(8), size=4),
    "a value shorter than its pair": one(b"a", 8, 1, bytes(12)),
    "a string longer than its pair": one(b"a", 9, 1, struct.pack(">I", 2**32 - 1)),
    "two thousand million numbers": one(b"a", 16, 2**31, struct.pack(">I", 2**31)),
    "two counts": one(b"a", 16, 1, struct.pack(">I", 2) + bytes(16)),
    "strings without end": one(b"a", 17, 2**32 - 1, bytes(8)),
    "lists without end": one(b"a", 20, 2**32 - 1, bytes(16)),
    "a list cut off": one(b"a", 19, 1, struct.pack(">iI", 0, 1)),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile(name: str) -> None:
    with pytest.raises(Damaged) as caught:
        nvlist.decode(HOSTILE[name])
    assert caught.value.reason == "NVLIST_DAMAGED"


GOOD = encode({name: written for name, (written, _) in EVERY_TYPE.items()})


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, len(GOOD)))
def test_flipped_and_cut_bytes_are_read_or_refused(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    for each in (bytes(data), bytes(data[:length])):
        try:
            found = nvlist.decode(each)
        except Damaged:
            continue
        assert json.loads(json.dumps(found)).keys() == found.keys()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for each in (data, b"\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + data):
        try:
            assert isinstance(nvlist.decode(each), dict)
        except Damaged as error:
            assert error.message


PLAIN = st.recursive(
    st.integers(0, 2**64 - 1) | st.text(max_size=8) | st.just(True),
    lambda inside: (
        st.dictionaries(st.text(max_size=6), inside, max_size=4)
        | st.lists(st.dictionaries(st.text(max_size=6), inside, max_size=3), min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=6), PLAIN, max_size=6))
def test_round_trip(plain: dict[str, Any]) -> None:
    assert nvlist.decode(encode(typed(plain)[1])) == plain
