# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the kernel's test vectors as C tables, to standard output: python3 vectors.py kernel.json > vectors.h"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def braced(values: Iterable[object]) -> str:
    return "{" + ", ".join(str(value) for value in values) + "}"


def pieces(case: dict[str, Any]) -> str:
    rows = case["data"] or [["zero", 0, 0]]  # C knows no empty braces
    return f"{len(rows)}, " + braced(braced((f"RULE_{rule.upper()}", length, seed)) for rule, length, seed in rows)


def cut_case(case: dict[str, Any]) -> str:
    sizes = braced(case["params"])
    return f'  {{"{case["name"]}", {pieces(case)}, {sizes}, {len(case["ends"])}, {braced(case["ends"] or [0])}}},'


def runs_case(case: dict[str, Any]) -> str:
    runs = braced(braced(run) for run in case["runs"] or [[0, 0]])
    return f'  {{"{case["name"]}", {pieces(case)}, {case["minimum"]}, {len(case["runs"])}, {runs}}},'


def main(path: str) -> None:
    vectors = json.loads(Path(path).read_text(encoding="utf-8"))
    print("static const struct cut_case CUTS[] = {")
    print("\n".join(cut_case(case) for case in vectors["cut"]))
    print("};\nstatic const struct runs_case RUNS[] = {")
    print("\n".join(runs_case(case) for case in vectors["zero_runs"]))
    print("};")


if __name__ == "__main__":
    main(sys.argv[1])
