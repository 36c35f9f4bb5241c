# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short way to read what most anchors say: the same answer as the long way, or none."""

from __future__ import annotations

import re
from typing import Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asl.errors import Damaged
from asl.formats import snapshot
from asl.formats.snapshot import About
from asl.names import Digest

USUAL = About("rescue-domain", Digest(bytes(range(32))), Digest(bytes(32)), ("tree:/mnt/a b",), {}, 1_700_000_000, 7, 0, 12).encode()
SHORT = snapshot._USUAL_ABOUT


def read(payload: bytes) -> Union[About, str]:
    try:
        return About.decode(payload)
    except Damaged:
        return "damaged"


@given(st.integers(0, len(USUAL) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_what_the_short_way_takes_the_long_way_takes_for_the_same(at: int, put: bytes, cut: int) -> None:
    payload = USUAL[:at] + put + USUAL[at + cut :]
    short = read(payload)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_USUAL_ABOUT", re.compile(rb"never\Z\w"))
        assert read(payload) == short


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"size":7', b'"size":07'), (b'"size":7', b'"size":true'), (b'"size":7', b'"size":7.0'), (b"a b", b"a\x00b"),
        (b"a b", b"\xc3\xa4"),
        (b'"losses":12', b'"losses": 12'), (b'"00010001', b'"0001000G'), (b"{}", b'{"k":1}'), (b"tree:/mnt/a b", b'a","b'),
    ],
)  # fmt: skip
def test_what_is_odd_goes_the_long_way(old: bytes, new: bytes) -> None:
    assert SHORT.fullmatch(USUAL) and not SHORT.fullmatch(USUAL.replace(old, new, 1))


def test_several_sources_and_labels_are_read_all_the_same() -> None:
    about = About("d", Digest(bytes(32)), Digest(bytes(32)), ("tree:/a", 'tree:/"b"\\'), {"os": "debian"}, 5, 6, 7, 8)
    assert not SHORT.fullmatch(about.encode()) and About.decode(about.encode()) == about
