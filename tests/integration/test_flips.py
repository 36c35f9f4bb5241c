# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One flipped bit anywhere in a store: the check finds it and names the object.

ASL_FLIPS is the number of flips, ASL_SEED repeats a run.
"""

from __future__ import annotations

import json
import random
import secrets
from pathlib import Path

from integration.support import Machine, number


def flip(path: Path, bit: int) -> None:
    """Turn bit number BIT (from the first byte's lowest on) of PATH over."""
    with path.open("r+b") as handle:
        handle.seek(bit // 8)
        value = handle.read(1)[0] ^ (1 << bit % 8)
        handle.seek(bit // 8)
        handle.write(bytes([value]))


def build_store(machine: Machine, folder: Path, rng: random.Random) -> Path:
    """A small store with every kind of object in it: two snapshots, a file put by hand, a pin."""
    tree = folder / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    for count in range(60):
        (tree / "deep" / f"{count}").write_bytes(rng.randbytes(rng.randrange(1, 2000)))
    (tree / "large").write_bytes(rng.randbytes(400_000))
    store = machine.init(folder / "store")
    machine.intake(f"tree:{tree}", store)
    (tree / "deep" / "er" / "later").write_bytes(rng.randbytes(50_000))
    snapshot = machine.intake(f"tree:{tree}", store).document["snapshot"]
    machine.run("asl-admin", "put", str(tree / "deep" / "1"), "--store", str(store))
    machine.run("asl-admin", "pin", snapshot, "--store", str(store))
    return store


def test_every_flipped_bit_is_found_and_named(machine: Machine, tmp_path: Path) -> None:
    flips, seed = number("ASL_FLIPS", 200), number("ASL_SEED", secrets.randbelow(10**9))
    print(f"ASL_SEED={seed} ASL_FLIPS={flips}")
    rng = random.Random(seed)
    store = build_store(machine, tmp_path, rng)
    clean = machine.check(store)
    assert clean["ok"], clean["faults"]
    files = sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size)
    sizes = [path.stat().st_size for path in files]
    missed = []
    for step in range(flips):
        # Half of the flips by size, half by file: the small objects are the ones that everything hangs on.
        path = rng.choices(files, sizes)[0] if step % 2 else rng.choice(files)
        bit = rng.randrange(path.stat().st_size * 8)
        flip(path, bit)
        verdict = machine.run("asl-debug", "check", "--store", str(store), codes=(0, 2, 3, 4, 5)).document
        if verdict.get("ok", False) or path.name not in json.dumps(verdict):
            missed.append(f"{path.relative_to(store)} bit {bit}: {json.dumps(verdict)[:300]}")
        flip(path, bit)
    assert not missed, f"seed {seed}: {len(missed)} of {flips} flips missed or not named:\n" + "\n".join(missed[:10])
    assert machine.check(store)["ok"]
