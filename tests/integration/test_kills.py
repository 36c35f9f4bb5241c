# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments: nothing that was acknowledged is lost, and the same command run again ends as if nothing had happened.

ASL_KILLS is the number of kills, ASL_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import secrets
from pathlib import Path

from integration.support import Machine, number

FRESH_STORE_EVERY = 5
CHECK_EVERY = 10


def change(tree: Path, rng: random.Random, step: int) -> None:
    """Give the next intake something to do: a new file, a changed one, one that goes."""
    (tree / f"new-{step:04d}").write_bytes(rng.randbytes(rng.randrange(1, 3 << 20)))
    for name in rng.sample(sorted(os.listdir(tree / "small")), 20):
        (tree / "small" / name).write_bytes(rng.randbytes(rng.randrange(1, 9000)))
    if step > 3:
        (tree / f"new-{step - 3:04d}").unlink(missing_ok=True)


def start_tree(tree: Path, rng: random.Random) -> None:
    (tree / "small").mkdir(parents=True)
    for count in range(300):
        (tree / "small" / f"{count:04d}").write_bytes(rng.randbytes(rng.randrange(1, 9000)))
    (tree / "large").write_bytes(rng.randbytes(12 << 20))


def test_killed_intakes_lose_nothing_and_end_the_same(tmp_path: Path) -> None:
    kills, seed = number("ASL_KILLS", 30), number("ASL_SEED", secrets.randbelow(10**9))
    print(f"ASL_SEED={seed} ASL_KILLS={kills}")
    rng, tree = random.Random(seed), tmp_path / "tree"
    start_tree(tree, rng)
    calm, struck = Machine(tmp_path / "calm"), Machine(tmp_path / "struck")
    reference, store = calm.init(tmp_path / "reference"), struck.init(tmp_path / "store-0")
    acknowledged: dict[str, str] = {}
    landed = 0
    for step in range(kills):
        change(tree, rng, step)
        if step % FRESH_STORE_EVERY == FRESH_STORE_EVERY - 1:
            assert struck.check(store)["ok"]
            store, acknowledged = struck.init(tmp_path / f"store-{step}"), {}
        undisturbed = calm.intake(f"tree:{tree}", reference)
        running = struck.start("asl-intake", "run", f"tree:{tree}", "--store", str(store))
        landed += running.kill_after(rng.uniform(0.0, undisturbed.seconds))
        before = snapshots(struck, store)
        lost = {name: digest for name, digest in acknowledged.items() if before.get(name) != digest}
        assert not lost, f"seed {seed}, kill {step}: these acknowledged snapshots are gone: {lost}"
        again = struck.intake(f"tree:{tree}", store).document
        assert again["digest"] == undisturbed.document["digest"], f"seed {seed}, kill {step}: the re-run ended otherwise"
        acknowledged[again["snapshot"]] = again["digest"]
        if step % CHECK_EVERY == CHECK_EVERY - 1:
            verdict = struck.check(store)
            assert verdict["ok"], f"seed {seed}, kill {step}: {verdict['faults'][:3]}"
    assert struck.check(store)["ok"]
    assert landed >= kills // 3, f"seed {seed}: only {landed} of {kills} kills hit a running intake"


def snapshots(machine: Machine, store: Path) -> dict[str, str]:
    """The digest of every snapshot the store shows."""
    rows = machine.run("asl-admin", "snapshots", "--store", str(store)).document["snapshots"]
    return {row["snapshot"]: row["digest"] for row in rows}
