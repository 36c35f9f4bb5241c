# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen vectors, and the table in C against the formula."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from asl.kernel import ChunkParams, Kernel
from asl.kernel.python import GEAR

NATIVE = Path(__file__).resolve().parents[3] / "native"


def material(pieces: list[tuple[str, int, int]]) -> bytes:
    """The bytes a vector describes; the rules stand in the vector file."""
    return b"".join(piece(rule, length, seed) for rule, length, seed in pieces)


def piece(rule: str, length: int, seed: int) -> bytes:
    if rule == "lcg":
        state, out = seed, bytearray()
        for _ in range(length):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            out.append(state >> 56)
        return bytes(out)
    if rule == "count":
        return (bytes(range(251)) * (length // 251 + 1))[:length]
    return {"zero": b"\x00", "ones": b"\xff"}[rule] * length


def test_cut_vectors(either: Kernel, vectors: Any) -> None:
    cases = vectors["cut"]
    found = {case["name"]: either.cut(material(case["data"]), ChunkParams(*case["params"]), True) for case in cases}
    assert len(cases) >= 15
    assert found == {case["name"]: case["ends"] for case in cases}


def test_zero_run_vectors(either: Kernel, vectors: Any) -> None:
    cases = vectors["zero_runs"]
    found = {case["name"]: either.zero_runs(material(case["data"]), case["minimum"]) for case in cases}
    assert len(cases) >= 14
    assert found == {case["name"]: [tuple(run) for run in case["runs"]] for case in cases}


def test_gear_table_follows_the_formula() -> None:
    formula = [int.from_bytes(hashlib.sha256(b"asl.rescue gear 1" + bytes([i])).digest()[:8], "little") for i in range(256)]
    header = (NATIVE / "gear.h").read_text(encoding="ascii")
    assert [int(value, 16) for value in re.findall(r"UINT64_C\(0x([0-9a-f]{16})\)", header)] == formula
    assert list(GEAR) == formula


def test_gear_header_is_what_its_generator_writes() -> None:
    made = subprocess.run([sys.executable, str(NATIVE / "gear.py")], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert made == (NATIVE / "gear.h").read_bytes()
