# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle and its index: the same tree gives the same bytes, and every other byte is noticed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path

import pytest
from unit.overlay.support import OVERLAY

from asl.errors import Damaged, Unavailable, Usage
from asl.overlay import bundle, index


def packed(overlay: Path, native: Path) -> bytes:
    target = io.BytesIO()
    bundle.write(bundle.collect(overlay, native), target)
    return target.getvalue()


def test_the_same_tree_gives_the_same_bytes_whatever_its_times_modes_and_leftovers(tmp_path: Path, native: Path) -> None:
    copy = tmp_path / "other"
    shutil.copytree(OVERLAY, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "*.so"))
    for number, path in enumerate(sorted(copy.rglob("*"))):
        os.utime(path, (number, number))
        path.chmod(0o700 if path.is_dir() else 0o640)
    for stray in ("usr/local/lib/asl/__pycache__/a.pyc", "usr/local/lib/.mypy_cache/x", "usr/local/lib/libasl.so", "etc/asl/asl.conf~"):
        (copy / stray).parent.mkdir(exist_ok=True)
        (copy / stray).write_bytes(b"left behind")
    assert packed(copy, native) == packed(OVERLAY, native)


def test_one_other_byte_gives_another_digest(tmp_path: Path, native: Path) -> None:
    copy = tmp_path / "other"
    shutil.copytree(OVERLAY, copy)
    before = bundle.collect(copy, native).contents.digest
    with (copy / "usr/local/lib/asl/errors.py").open("ab") as file:
        file.write(b"\n")
    assert bundle.collect(copy, native).contents.digest != before


def test_a_file_outside_the_contract_and_a_missing_one_are_refused(tmp_path: Path, native: Path) -> None:
    copy = tmp_path / "other"
    shutil.copytree(OVERLAY, copy)
    (copy / "etc/asl/token").write_bytes(b"x")
    with pytest.raises(Usage, match="/etc/asl/token is not in the overlay contract"):
        bundle.collect(copy, native)
    (copy / "etc/asl/token").unlink()
    (copy / "usr/local/bin/asl-debug").unlink()
    with pytest.raises(Unavailable, match="asl-debug is named in the contract"):
        bundle.collect(copy, native)


def test_an_unpacked_bundle_is_checked_byte_by_byte(tmp_path: Path, unpacked: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(unpacked, copy)
    found = bundle.open_folder(copy)
    assert found.contents.digest == hashlib.sha256((copy / "INDEX").read_bytes()).hexdigest()
    victim = copy / "root/usr/local/bin/asl-intake"
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.write_bytes(data)
    with pytest.raises(Damaged, match="asl-intake is not what the bundle's INDEX says") as caught:
        bundle.open_folder(copy)
    assert caught.value.reason == "BUNDLE_DAMAGED"
    with pytest.raises(Unavailable, match="no INDEX"):
        bundle.open_folder(copy / "root")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("overlay.yml", "/usr/local/lib/asl/overlay.yml"),
        ("root/etc/asl/asl.conf", "/etc/asl/asl.conf"),
        ("native/aarch64/libasl.so", "/usr/local/lib/libasl.so"),
        ("native/x86_64/libasl.so", None),
    ],
)
def test_each_machine_gets_its_own_library(path: str, target: str) -> None:
    assert bundle.target_of(path, "aarch64") == target


LINES = (index.Line("/a b", "0" * 64, 0o644, "root", "root"), index.Line("/c", "f" * 64, 0o755, "root", "adm"))


@pytest.mark.parametrize("found", [index.make(LINES), index.make(reversed(LINES), "1" * 64, ["/etc/systemd", "/etc"])])
def test_an_index_survives_being_written(found: index.Index) -> None:
    assert index.parse(found.encode(), "x") == found
    assert index.parse(found.encode(), "x").digest == found.digest


def test_a_cut_or_changed_index_is_noticed() -> None:
    whole = index.make(LINES, "1" * 64, ["/etc/systemd"]).encode()
    lines = whole.splitlines(keepends=True)
    spoilt = [whole[:cut] for cut in range(1, len(whole)) if whole[cut - 1 : cut] != b"\n"]
    spoilt += [b"".join(reversed(lines)), whole + lines[-1], whole + b"garbage\n", lines[-1] + whole]
    for data in spoilt:
        with pytest.raises(Damaged) as caught:
            index.parse(data, "overlay.index")
        assert caught.value.reason == "INDEX_INVALID"
