# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical JSON: one value, one byte string; names that are not UTF-8 come back as they were."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asl.errors import Damaged
from asl.formats import canonical

NAMES = st.binary(max_size=12).map(os.fsdecode)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_values_come_back_and_have_one_form(value: dict[str, Any]) -> None:
    data = canonical.encode(value)
    assert data.isascii()
    assert canonical.decode(data, "a test") == value
    assert canonical.encode(dict(reversed(list(value.items())))) == data


@given(st.binary(max_size=60))
def test_names_that_are_no_utf8_give_the_same_bytes_back(name: bytes) -> None:
    found = canonical.decode(canonical.encode({"name": os.fsdecode(name)}), "a test")["name"]
    assert os.fsencode(found) == name


def test_the_form_of_a_surrogate() -> None:
    assert canonical.encode({"b": os.fsdecode(b"\xff"), "a": [1, None, True]}) == b'{"a":[1,null,true],"b":"\\udcff"}'


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"1", b"null", b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1.0}', b'{"a":1e3}', b'{"a":NaN}',
        b'{"a":Infinity}', b'{"a":-0}', b'{"a":"\xc3\xa9"}', b'{"a":"\\u00E9"}', b'{"a":1}\n', b'{"a":"\xff"}', b"\x00{\x00}",
        b'{"a":' + b"[" * 100_000, b'{"a":' + b"9" * 10_000 + b"}x", b"\xef\xbb\xbf{}",
    ],
)  # fmt: skip
def test_any_other_form_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        canonical.decode(data, "a test")


def test_values_without_a_canonical_form_are_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical.encode({"a": float("nan")})
