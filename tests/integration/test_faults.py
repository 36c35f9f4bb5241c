# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short fault campaign: the kinds that no other test runs, one round of each. `make faults` is the long one.

ASL_SEED repeats a run.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

from integration.support import CHECKOUT

# Crashes and flips of every byte are in tests/unit (test_crash, test_flips), kills in test_kills.
SHORT = (
    "call_fails_with_eio", "call_fails_with_enospc", "call_is_short", "signals_interrupt", "files_are_cut", "fuzzed_files", "fuzzed_logs",
    "fuzzed_segments", "fuzzed_blocks", "hostile_snapshots", "fuzzed_settings", "fuzzed_maps", "fuzzed_jobs", "fuzzed_receipts",
    "two_writers", "clock_jumps",
)  # fmt: skip


def test_the_short_campaign() -> None:
    seed = os.environ.get("ASL_SEED", str(secrets.randbelow(10**9)))
    env = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'overlay/usr/local/lib'}{os.pathsep}{CHECKOUT / 'tests'}"}
    words = [word for kind in SHORT for word in ("--only", kind)]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "faults", "--seed", seed, *words],
        cwd=CHECKOUT / "tests",
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
