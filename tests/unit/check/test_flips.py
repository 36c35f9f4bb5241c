# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No byte of a store can change, go or come without being named."""

from __future__ import annotations

import os
import random
import secrets
from pathlib import Path

import pytest
from unit.check.support import files, name, named, overwrite, small, verdict

# Damage in these is damage of theirs alone: nothing hangs on them that could not be told from elsewhere.
ALONE = ("logs/", "meta/", "snapshots/")


def test_a_whole_store_has_no_fault(tmp_path: Path) -> None:
    result = verdict(small(tmp_path / "store").root)
    assert (result.ok, result.faults, result.notes) == (True, [], [])
    assert result.counts["snapshots"] == 2
    assert result.counts["artifacts"] == result.counts["records"] == 8
    assert result.counts["bytes"] == sum(path.stat().st_size for path in files(tmp_path / "store"))


def test_one_flipped_bit_in_every_byte(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    seed = int(os.environ.get("ASL_SEED", secrets.randbelow(10**9)))
    print(f"ASL_SEED={seed}")
    rng, wrong, flips = random.Random(seed), [], 0
    for path in files(root):
        data, label = path.read_bytes(), name(root, path)
        path.chmod(0o644)
        with path.open("r+b", buffering=0) as file:  # in place: no file is made anew thousands of times
            for at in range(len(data)):
                bit = rng.randrange(8)
                os.pwrite(file.fileno(), bytes([data[at] ^ 1 << bit]), at)
                result = verdict(root)
                os.pwrite(file.fileno(), data[at : at + 1], at)
                if result.ok or label not in named(result) or (label.startswith(ALONE) and len(result.faults) > 1):
                    wrong.append(f"{label} byte {at} bit {bit}: {[fault.document() for fault in result.faults][:3]}")
                flips += 1
    assert not wrong, f"seed {seed}: {len(wrong)} of {flips} flips:\n" + "\n".join(wrong[:10])
    assert flips > 2000
    assert verdict(root).ok


def test_a_byte_in_the_lock_is_named(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    overwrite(root / "meta/lock", b"\0")
    assert named(verdict(root)) == {"meta/lock"}


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_every_file_cut_short(tmp_path: Path, kept: float) -> None:
    root = small(tmp_path / "store").root
    for path in files(root):
        data = path.read_bytes()
        if data:
            overwrite(path, data[: int(len(data) * kept)])
            assert name(root, path) in named(verdict(root)), f"{name(root, path)} cut to {kept}"
            overwrite(path, data)
    assert verdict(root).ok


def test_every_file_with_a_byte_more(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    for path in files(root):
        data = path.read_bytes()
        overwrite(path, data + b"x")
        result = verdict(root)
        if name(root, path) == "logs/asl.log":  # behind what was acknowledged a crash may leave anything: the next writer cuts it off
            assert result.ok and [note.object for note in result.notes] == ["logs/asl.log"]
        else:
            assert name(root, path) in named(result), name(root, path)
        overwrite(path, data)
    assert verdict(root).ok


def test_every_file_missing(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    for path in files(root):
        data, label = path.read_bytes(), name(root, path)
        path.unlink()
        result = verdict(root)
        if label == "meta/lock":
            assert result.ok, "the next writer makes the lock"
        elif label == "snapshots/000000000002":
            assert result.ok, "the next writer makes the newest snapshot file"
            assert [(note.object, note.reason) for note in result.notes] == [(label, "MISSING_SNAPSHOT")]
        else:
            assert label in named(result)
        path.write_bytes(data)
    assert verdict(root).ok


def test_every_folder_missing(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    for folder in ("blocks", "segments", "snapshots", "logs", "meta", "tmp"):
        (root / folder).rename(tmp_path / folder)
        assert folder in named(verdict(root))
        (tmp_path / folder).rename(root / folder)
    assert verdict(root).ok


@pytest.mark.parametrize(
    "extra",
    ["stray", "blocks/stray", "blocks/ab/stray", "segments/1", "segments/0000000000001", "snapshots/x", "meta/x", "logs/asl.log.1"],
)
def test_files_with_foreign_names(tmp_path: Path, extra: str) -> None:
    root = small(tmp_path / "store").root
    (root / extra).parent.mkdir(exist_ok=True)
    (root / extra).write_bytes(b"x")
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [(extra, "FOREIGN")]


def test_foreign_folders_links_and_what_a_file_system_brings(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    (root / "lost+found").mkdir()
    (root / "lost+found/x").write_bytes(b"x")
    (root / "tmp/new-1-2").write_bytes(b"x")
    result = verdict(root)
    assert result.ok
    assert [(note.object, note.reason) for note in result.notes] == [("tmp/new-1-2", "TEMPORARY")]
    (root / "blocks/zz").mkdir()
    (root / "other").mkdir()
    (root / "meta/link").symlink_to("head")
    assert named(verdict(root)) == {"blocks/zz", "other", "meta/link"}


def test_a_block_under_another_name_is_damage(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    block = next(path for path in files(root) if path.parent.parent.name == "blocks")
    (root / "blocks/ab").mkdir(exist_ok=True)
    wrong = root / "blocks/ab" / ("ab" * 32)
    wrong.write_bytes(block.read_bytes())
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [(name(root, wrong), "DAMAGED_BLOCK")]


def test_a_snapshot_file_that_no_anchor_names(tmp_path: Path) -> None:
    root = small(tmp_path / "store").root
    (root / "snapshots/000000000003").write_bytes((root / "snapshots/000000000002").read_bytes())
    assert [(fault.object, fault.reason) for fault in verdict(root).faults] == [("snapshots/000000000003", "NO_ANCHOR")]
