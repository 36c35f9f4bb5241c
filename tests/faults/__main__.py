# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The campaign: `python -m faults [--rounds N] [--seed N] [--only KIND]`. Prints a table of kinds and points; 1 when a promise broke.

Every point can be repeated: the same seed, rounds and kind give the same points in the same order.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from faults import hostile, inputs, processes, stores
from faults.stores import Kind

KINDS: dict[str, Kind] = {**stores.KINDS, **hostile.KINDS, **inputs.KINDS, **processes.KINDS}


def run(kind: str, seed: int, rounds: int, folder: Path) -> dict[str, Any]:
    """All points of one KIND; what came of it."""
    began, points, broken, last = time.monotonic(), 0, None, "the beginning"
    folder.mkdir()
    try:
        with stores.small_limits() if kind in stores.KINDS else tempfile.SpooledTemporaryFile():
            for point in KINDS[kind](folder, seed, rounds):
                points, last = points + 1, point
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        broken = f"behind {last}: {type(error).__name__}: {error}"
        traceback.print_exc()
    if broken is None:
        shutil.rmtree(folder, ignore_errors=True)
    return {"kind": kind, "points": points, "broken": broken, "seconds": round(time.monotonic() - began, 1)}


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how thorough: 1 is short, 8 is the long campaign")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="repeats a campaign")
    parser.add_argument("--only", action="append", choices=sorted(KINDS), help="one kind; may be repeated")
    parser.add_argument("--report", type=Path, help="write the figures there as JSON")
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="asl-faults-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    print(f"seed {args.seed}, rounds {args.rounds}", flush=True)
    rows = []
    for kind in args.only or KINDS:
        rows.append(run(kind, args.seed, args.rounds, place / kind))
        row = rows[-1]
        print(f"{row['points']:7d}  {kind:28s} {row['seconds']:8.1f} s  {row['broken'] or 'held'}", flush=True)
    broken = sum(1 for row in rows if row["broken"])
    print(f"{sum(row['points'] for row in rows):7d}  points in all, {broken} kinds broken")
    if args.report:
        args.report.parent.mkdir(parents=True, exist_ok=True)
        args.report.write_text(json.dumps({"seed": args.seed, "rounds": args.rounds, "kinds": rows}, indent=1) + "\n")
    if not broken:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
