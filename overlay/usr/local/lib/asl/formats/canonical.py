# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonical JSON: UTF-8, keys sorted, no white space, integers only. One value has one byte string.

Bytes that are not UTF-8 (names on crashed disks) are carried as lone surrogates (PEP 383) and escaped, so that the JSON is
ASCII there and gives the same bytes back.
"""

from __future__ import annotations

import json
from typing import Any

from asl.errors import Damaged


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not an integer")


# Made once: json.dumps() and json.loads() would make them anew for each of ten thousand snapshots.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_DECODER = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)


def encode(value: Any) -> bytes:
    """The canonical bytes of VALUE: dicts with string keys, lists, strings, integers, booleans, None."""
    return _ENCODER.encode(value).encode("ascii")


def decode(data: bytes, what: str) -> dict[str, Any]:
    """The object in DATA, which must be canonical. WHAT names it in the error. Raises Damaged."""
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        canonical = isinstance(value, dict) and encode(value) == data
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{what} is not JSON: {error}", reason="BAD_JSON") from error
    if not canonical:
        raise Damaged(f"{what} is not in canonical form", reason="BAD_JSON")
    found: dict[str, Any] = value
    return found
