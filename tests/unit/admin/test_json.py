# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What --json prints is what the json module would print."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asl.cli.context import json_text

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.lists(inner).map(tuple), max_leaves=12)


class Pair(NamedTuple):
    """A tuple with names is a list."""

    left: int
    right: dict[str, int]


@given(VALUES)
def test_it_is_what_the_json_module_writes(value: Any) -> None:
    assert json_text(value) == json.dumps(value, indent=1)


@pytest.mark.parametrize("value", [Pair(1, {}), {"a": Pair(1, {"b": 2})}, [[], {}, (), ""], True, {"x": {"y": [1, [2, [3]]]}}])
def test_shapes(value: Any) -> None:
    assert json_text(value) == json.dumps(value, indent=1)


def test_names_that_are_no_text_come_back() -> None:
    assert os.fsencode(json.loads(json_text({"path": b"/a\xff"}))["path"]) == b"/a\xff"
    with pytest.raises(TypeError, match="set does not belong"):
        json_text([{1}])
