# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments of a real intake in a process of its own. ASL_KILLS is their number, ASL_SEED repeats a run."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from unit.intake.support import grow, intake

from asl.store import init_store, open_store

LIBRARY = Path(__file__).resolve().parents[3] / "overlay" / "usr" / "local" / "lib"
KILLS = int(os.environ.get("ASL_KILLS", "30"))
FRESH_STORE_EVERY = 6
# Says when it begins, so that a kill hits the intake and not the start of Python.
PROGRAM = """
import sys
from asl.intake.request import Request
from asl.intake.run import run
request = Request((sys.argv[1],), sys.argv[2], "test")
print("begins", flush=True)
print(run(request, jobs=2, block_size=200_000)["digest"], flush=True)
"""


def start(source: Path, store: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    argv = [sys.executable, "-B", "-c", PROGRAM, f"tree:{source}", store]
    process = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "begins\n"
    return process


def snapshots(store: str) -> dict[int, str]:
    return {each.id: each.digest for each in open_store(store).snapshots()}


def test_killed_intakes_lose_nothing_and_end_the_same(tmp_path: Path) -> None:
    seed = int(os.environ.get("ASL_SEED", secrets.randbelow(10**9)))
    print(f"ASL_SEED={seed} ASL_KILLS={KILLS}")
    rng, source = random.Random(seed), grow(tmp_path / "tree")
    store, calm, acknowledged, landed = "", "", {}, 0
    for step in range(KILLS):
        if step % FRESH_STORE_EVERY == 0:
            store, calm, acknowledged = str(tmp_path / f"store-{step}"), str(tmp_path / f"calm-{step}"), {}
            init_store(store)
            init_store(calm)
        # Enough to be read that a kill by the clock hits an intake at work.
        (source / "new").write_bytes(rng.randbytes(rng.randrange(8 << 20, 16 << 20)))
        began = time.monotonic()
        wanted = intake(source, calm)["digest"]
        process = start(source, store)
        try:
            process.wait(timeout=rng.uniform(0, time.monotonic() - began))
        except subprocess.TimeoutExpired:
            process.kill()
        landed += process.wait() == -signal.SIGKILL
        found = snapshots(store)
        assert found.items() >= acknowledged.items(), f"seed {seed}, kill {step}: acknowledged snapshots are gone"
        again = start(source, store)
        assert again.communicate()[0] == f"{wanted}\n", f"seed {seed}, kill {step}: the run after the kill ended otherwise"
        assert again.returncode == 0
        acknowledged = snapshots(store)
        assert wanted in acknowledged.values()
    assert landed > KILLS // 4, f"seed {seed}: only {landed} of {KILLS} kills hit a running intake"
