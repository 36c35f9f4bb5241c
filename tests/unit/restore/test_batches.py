# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files made in batches, from real stores: plain and compressed, whole and damaged, with the library and with its twin."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from asl import kernel
from asl.intake.request import Request
from asl.intake.run import run
from asl.kernel import Kernel, native, python
from asl.kernel.files import Content, New
from asl.restore import restore_tree, tree_changes
from asl.store import Store, init_store, open_store

FILES = 700


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small files in many folders, some of several chunks, links between them, one with an attribute."""
    folder, rng = tmp_path_factory.mktemp("batches") / "tree", random.Random(7)
    for number in range(FILES):
        file = folder / f"{number % 60:02d}" / f"{number % 7}" / f"{number:03d}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d " % number * rng.randrange(1 + rng.choice((20, 2000, 60_000))))
        file.chmod(rng.choice((0o600, 0o755, 0o4711)))
        os.utime(file, ns=(1, rng.randrange(10**18)))
    (folder / "01" / "link").symlink_to("nowhere")
    os.link(folder / "00" / "0" / "000", folder / "59" / "hard")
    os.setxattr(folder / "02" / "2" / "002", "user.of", b"value")
    (folder / "03" / "large").write_bytes(rng.randbytes(3 << 20))
    return folder


@pytest.fixture(scope="module", params=["off", "zstd"])
def store(request: pytest.FixtureRequest, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASL_STATE_DIR", str(folder / "state"))
        init_store(str(folder / "store"))
        run(Request((f"tree:{source}",), str(folder / "store"), "test"), block_compression=request.param)
    return folder / "store"


@pytest.fixture(params=["libasl", "python"])
def half(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many files each call was asked for, and how many it made."""
    chosen: Kernel = native.open_library(kernel.LIBRARY) if request.param == "libasl" else python.PythonKernel("a test asked for it")
    made: list[int] = []
    files = chosen.files

    class Counted:
        def make(self, names: Sequence[bytes], wanted: Sequence[New], content: Content) -> bytes:
            found = files.make(names, wanted, content)
            made.extend(found)
            return found

    monkeypatch.setattr(chosen, "files", Counted(), raising=False)
    monkeypatch.setattr(kernel, "load", lambda: chosen)
    yield made


def root_of(store: Store) -> bytes:
    return store.snapshots()[-1].manifest.sources[0].root


def state(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        what = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, os.listxattr(path, follow_symlinks=False))
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (what, content)
    return found


def test_a_tree_comes_back_and_its_usual_files_were_made_in_batches(half: list[int], store: Path, source: Path, tmp_path: Path) -> None:
    opened = open_store(str(store))
    predicted = tree_changes(opened, root_of(opened), b"", str(tmp_path / "back"))
    result = restore_tree(opened, root_of(opened), b"", str(tmp_path / "back"))
    assert state(tmp_path / "back") == state(source)
    assert not result.losses and result.files == FILES + 3
    assert result.bytes == sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) - (source / "59/hard").stat().st_size
    assert (predicted.listed, predicted.omitted) == (result.changes.listed, result.changes.omitted)
    assert half == [1] * (FILES - 1)  # one has an attribute


def test_what_is_in_the_way_or_damaged_costs_nobody_else_anything(half: list[int], store: Path, source: Path, tmp_path: Path) -> None:
    opened = open_store(str(store))
    back = tmp_path / "back"
    (back / "10" / "3").mkdir(parents=True)
    (back / "10" / "3" / "010").write_bytes(b"is in the way")
    (back / "11").symlink_to(tmp_path)
    result = restore_tree(opened, root_of(opened), b"", str(back), overwrite=True)
    assert not result.losses and state(back) == state(source)
    assert ("10/3/010", "replace") in result.changes.listed and ("11", "replace") in result.changes.listed
    assert not (tmp_path / "4").exists()
    half.clear()
    again = restore_tree(opened, root_of(opened), b"", str(back), overwrite=True)
    assert again.skipped == again.files == FILES + 3 and not half and not again.changes
    for name in ("005", "006"):
        (back / f"{name[1:]}" / f"{int(name) % 7}" / name).unlink()
    restore_tree(opened, root_of(opened), b"", str(back), overwrite=True)
    assert half == [1, 1] and state(back) == state(source)
