# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast new data goes from a client through TLS into a store in a directory, both ends on this machine.

    PYTHONPATH=tests:overlay/usr/local/lib python -B -m bench.remote FOLDER [MIB] [ROUNDS] [KEY=VALUE…]

FOLDER should be in tmpfs, so that the disk is out of the picture. KEY=VALUE are settings of the gateway (workers=2). Prints one JSON
document: MB/s of each round from start to seal, and the CPU seconds of both ends a gigabyte. CPU seconds are what to compare where
the machine has other work.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rig.gateway import Site, environment

from asl import kernel

CHECKOUT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def material(path: Path, size: int, seed: int) -> None:
    """SIZE bytes that no chunk of is anywhere else."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(0, size, 1 << 20):
            file.write(rng.randbytes(1 << 20))


def cpu_of(group: int) -> float:
    """CPU seconds of the living processes of a process group."""
    found = 0.0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                found += (int(fields[11]) + int(fields[12])) / TICKS
    return found


def round_of(folder: Path, size: int, seed: int, settings: dict[str, str]) -> dict[str, Any]:
    """One intake into an empty store."""
    data = folder / "data"
    data.mkdir(parents=True)
    for number in range(4):
        material(data / f"file{number}", size // 4, 4 * seed + number)
    site = Site(folder / "site", **settings)
    site.init()
    replica = site.start()
    run, state = folder / "run", folder / "state"
    for each in (run, state):
        each.mkdir()
    (run / "token").touch(0o600)
    (run / "token").write_text(site.token("add"))
    argv = [str(CHECKOUT / "overlay/usr/local/bin/asl-intake"), "--json", "--quiet", "run", f"tree:{data}", "--store", replica.url,
            "--set", f"remote.ca={site.certificate}"]  # fmt: skip
    before, gateway, began = os.times(), cpu_of(replica.pid), time.monotonic()
    env = {**environment(), "ASL_RUN_DIR": str(run), "ASL_STATE_DIR": str(state)}
    done = subprocess.run([sys.executable, "-B", *argv], env=env, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - began, os.times()
    used = cpu_of(replica.pid) - gateway
    site.stop()
    assert done.returncode == 0, done.stderr
    client = after.children_user + after.children_system - before.children_user - before.children_system
    moved = json.loads(done.stdout)["bytes_read"] / 1e6
    return {
        "mb_per_second": round(moved / seconds), "seconds": round(seconds, 2), "client_cpu_per_gb": round(client / moved * 1000, 2),
        "gateway_cpu_per_gb": round(used / moved * 1000, 2),
    }  # fmt: skip


def main(words: list[str]) -> None:
    """Measure and print."""
    assert not kernel.load().slow, f"libasl.so is not that of this checkout ({kernel.load().why}): make overlay"
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    size, rounds = int(plain[1] if plain[1:] else 1500) << 20, int(plain[2] if plain[2:] else 3)
    found = []
    for number in range(rounds):
        folder = Path(plain[0]) / f"round{number}"
        try:
            found.append(round_of(folder, size, number, settings))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(found[-1]), file=sys.stderr)
    best = max(found, key=lambda each: float(each["mb_per_second"]))
    print(json.dumps({"bytes": size, "rounds": found, "best": best}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
