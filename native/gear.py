# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the gear table of the engine's Python kernel as C, to standard output: python3 gear.py > gear.h"""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "overlay/usr/local/lib"))

from asl.kernel.python import GEAR  # noqa: E402

HEADER = """\
/* Copyright: (c) 2026, the asl.rescue contributors */
/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Made by gear.py. GEAR[i] = first 8 bytes, little-endian, of SHA-256("asl.rescue gear 1" || byte i). */
#ifndef ASL_GEAR_H
#define ASL_GEAR_H

#include <stdint.h>

static const uint64_t GEAR[256] = {
"""


def header() -> str:
    """The text of gear.h: four values a line."""
    rows = (GEAR[at : at + 4] for at in range(0, len(GEAR), 4))
    return HEADER + "".join("  " + " ".join(f"UINT64_C(0x{value:016x})," for value in row) + "\n" for row in rows) + "};\n\n#endif\n"


if __name__ == "__main__":
    sys.stdout.write(header())
