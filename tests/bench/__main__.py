# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bench`: the engine beside restic, borg and casync on the same data, in alternating runs, in memory (tmpfs).

Prints one table of medians and ratios, and writes it as JSON and as a plot. Compare ratios and CPU seconds: wall times are those of
this machine, with whatever else ran on it. Needs about 8 GiB in the folder (--quick: 2 GiB).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.process import RigError, output

from bench import data, remote, report
from bench.jobs import Runner
from bench.tools import BIN, TOOLS

# What is measured beside the comparison: name in the document -> function of (folder, quick). Each gives a document of its own.
FURTHER: dict[str, Callable[[Path, bool], dict[str, Any]]] = {"remote": remote.measure}
REPORTS = Path(__file__).resolve().parents[2] / "reports"


def machine(folder: Path) -> dict[str, Any]:
    """What it was measured on; the primitives are those of asl-debug bench."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    argv = [sys.executable, str(BIN / "asl-debug"), "bench", "--dir", str(folder), "--json", "--quiet"]
    return {
        "processor": cpu or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "primitives": json.loads(output(argv)),
    }


def measured(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make the data, run the rounds; the document."""
    began = time.monotonic()
    found = machine(folder)
    sizes = data.QUICK if args.quick else data.FULL
    print(f"data: {folder}", flush=True)
    runner = Runner(folder, data.make(folder, sizes, data.archive()), lambda line: print(line, flush=True))
    document: dict[str, Any] = {
        "format": "asl-bench", "version": 1, "machine": found, "rounds": 0, "quick": args.quick,
        "versions": {name: tool.version() for name, tool in TOOLS.items()}, "difference_of_second_machine": runner.difference,
        "further": {}, "failed": None,
    }  # fmt: skip
    try:
        work(args, folder, runner, document, began)
    except Exception as error:  # whatever it is, an hour of figures is not thrown away for it
        document["failed"] = f"{type(error).__name__}: {error}"
    found["load_after"] = round(os.getloadavg()[0], 2)
    table = report.rows(runner.results)
    return {**document, "seconds": round(time.monotonic() - began), "rows": table, "ratios": report.ratios(table)}


def work(args: argparse.Namespace, folder: Path, runner: Runner, document: dict[str, Any], began: float) -> None:
    """The rounds and what else is measured; what is there so far stands in the results of RUNNER and in DOCUMENT at any time."""
    longest = 0.0
    while document["rounds"] < (1 if args.quick else args.rounds) and time.monotonic() - began + longest < 60 * args.minutes:
        started = time.monotonic()
        runner.round(document["rounds"], args.only or list(TOOLS))
        document["rounds"], longest = document["rounds"] + 1, max(longest, time.monotonic() - started)
    for name, measure in ({} if args.only else FURTHER).items():
        document["further"][name] = measure(folder / name, args.quick)
        print(json.dumps(document["further"]), flush=True)


def write(document: dict[str, Any], out: Path) -> None:
    """Print the table, and write OUT.json, .txt and .png."""
    out.parent.mkdir(parents=True, exist_ok=True)
    table, where = report.text(document["rows"]), document["machine"]
    print(f"\n{table}\n")
    out.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    out.with_suffix(".txt").write_text(table + "\n")
    caption = f"{where['cores']} cores of {where['processor']}, tmpfs to tmpfs, median of {document['rounds']}; load {where['load_before']}"
    report.plot(document["rows"], out.with_suffix(".png"), caption)
    print(f"written: {out}.json, .txt, .png; {document['seconds']} s in all")


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, one round: does it work, and about how fast")
    parser.add_argument("--rounds", type=int, default=3, help="how often each job is done by each tool (default: 3)")
    parser.add_argument("--minutes", type=float, default=15, help="begin no round that would not end within (default: 15)")
    parser.add_argument("--only", action="append", choices=sorted(TOOLS), help="only this tool; may be repeated")
    parser.add_argument("--folder", default="/dev/shm", help="where data and stores lie while it runs (default: /dev/shm)")
    parser.add_argument("--out", type=Path, default=REPORTS / "bench", help="name of the .json, .txt and .png (default: reports/bench)")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="asl-bench-", dir=args.folder))
    try:
        document = measured(args, folder)
    except (RigError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if document["rows"]:
        write(document, args.out)
    if document["failed"]:
        print(f"bench: a part failed, and what was measured before it is all there is: {document['failed']}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
