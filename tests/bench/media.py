# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time a disk with bad sectors takes, beside GNU ddrescue, in turns.

    PYTHONPATH=tests:overlay/usr/local/lib python -B -m bench.media FOLDER [--size MIB] [--bad RANGES] [--rate MB/s] [--rounds N]

The disk is one that really fails (rig/badsectors), its content lies in FOLDER (best in tmpfs), and so do the image and the store that
are made of it. With --rate it gives no more than that, as a disk of spinning plates does (150 to 250); without, it is as fast as
memory, and what is measured is the processor. Prints one JSON document. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from rig import badsectors
from rig.process import output

from bench.measure import Cost, cost
from bench.tools import BIN, Asl

MIB = 1 << 20
PARTIAL = 1  # exit status of an intake that lacks something


def make(path: Path, size: int, rng: random.Random) -> None:
    """A disk of SIZE bytes: what does not compress, with a tenth of zeros."""
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(bytes(MIB) if rng.random() < 0.1 else rng.randbytes(MIB))


def theirs(disk: str, folder: Path) -> Cost:
    """GNU ddrescue with direct reads, as its manual tells for failing disks: an image and a map."""
    return cost(["ddrescue", "-q", "-d", disk, str(folder / "image"), str(folder / "map")], os.environ, scratch=folder)


def ours(disk: str, folder: Path) -> Cost:
    """An intake of the disk into a new store: read, cut, hashed, stored, sealed."""
    asl = Asl(folder, packed=False)
    words = [sys.executable, str(BIN / "asl-intake"), "run", f"device:{disk}", "--store", str(asl.store), "--quiet"]
    return cost(words, asl.env, scratch=asl.scratch, codes=(0, PARTIAL))


def main() -> None:
    """Make the disk, measure in turns, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.media", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB")
    parser.add_argument("--bad", type=int, default=500, metavar="RANGES")
    parser.add_argument("--rate", type=int, default=0, metavar="MB/s", help="the disk gives no more than this (default: as fast as memory)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="asl-media-", dir=args.folder))
    runs: dict[str, list[dict[str, Any]]] = {"ddrescue": [], "asl": []}
    try:
        make(work / "disk", args.size * MIB, random.Random(args.seed))
        bad = badsectors.ranges(args.size * MIB, args.bad, args.seed)
        limit = (f"rate={8 * args.rate}M",) if args.rate else ()
        with badsectors.device(work / "disk", bad, *limit, filters=("rate",) if args.rate else ()) as disk:
            for number in range(args.rounds):
                turns = [("ddrescue", theirs), ("asl", ours)]
                for name, measure in turns if number % 2 == 0 else reversed(turns):
                    (work / "run").mkdir()
                    runs[name].append(measure(disk, work / "run")._asdict())
                    shutil.rmtree(work / "run")
        ratios = [round(mine["wall"] / other["wall"], 2) for mine, other in zip(runs["asl"], runs["ddrescue"])]
        said = {
            "mib": args.size, "bad_ranges": len(bad), "rate": args.rate, "seed": args.seed, "load": round(os.getloadavg()[0], 1),
            "version": output(["ddrescue", "--version"]).splitlines()[0], "runs": runs, "ratios": ratios,
            "median": statistics.median(ratios),
        }  # fmt: skip
        print(json.dumps(said))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
