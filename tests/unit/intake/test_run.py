# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole intakes: one content, one digest, whatever the way it was read."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.intake.support import grow, intake, settle

from asl import kernel
from asl.errors import AslError, Interrupted, Refused, Usage
from asl.formats import tree as tree_format
from asl.intake import content
from asl.intake.progress import Progress
from asl.store import contents, init_store, open_store

FILES = 34  # regular files that grow() makes, by their first names
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts need root")


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[str]:
    """As many empty stores as a test asks for."""

    def make() -> Iterator[str]:
        for number in itertools.count():
            location = str(tmp_path / f"store-{number}")
            init_store(location)
            yield location

    return make()


@pytest.fixture
def digest(tree: Path, stores: Iterator[str]) -> str:
    """What every intake of the tree has to come to."""
    return str(intake(tree, next(stores))["digest"])


@pytest.mark.parametrize("jobs", [2, 4])
def test_threads_do_not_matter(tree: Path, stores: Iterator[str], digest: str, jobs: int) -> None:
    assert intake(tree, next(stores), jobs=jobs)["digest"] == digest


@pytest.mark.parametrize("block_size", [50_000, 1 << 20])
def test_the_size_of_blocks_does_not_matter(tree: Path, stores: Iterator[str], digest: str, block_size: int) -> None:
    assert intake(tree, next(stores), block_size=block_size)["digest"] == digest


def test_the_kernel_does_not_matter(tree: Path, stores: Iterator[str], digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_NO_NATIVE", "1")
    kernel.load.cache_clear()
    try:
        result = intake(tree, next(stores))
    finally:
        kernel.load.cache_clear()
    assert result["kernel"] == "python"
    assert result["digest"] == digest


def test_the_path_does_not_matter(tree: Path, stores: Iterator[str], digest: str, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", str(tree), str(tmp_path / "elsewhere")], check=True)
    assert intake(tmp_path / "elsewhere", next(stores))["digest"] == digest


@pytest.mark.parametrize("sparse", ["always", "never"])
def test_holes_and_the_file_system_do_not_matter(tree: Path, stores: Iterator[str], digest: str, sparse: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        subprocess.run(["cp", "-a", f"--sparse={sparse}", str(tree), f"{other}/tree"], check=True)
        copy, original = os.stat(f"{other}/tree/sparse"), os.stat(tree / "sparse")
        assert copy.st_dev != original.st_dev
        assert copy.st_blocks != original.st_blocks
        assert intake(Path(other) / "tree", next(stores))["digest"] == digest


def test_what_is_in_the_tree_does_matter(tree: Path, stores: Iterator[str], digest: str, tmp_path: Path) -> None:
    changes: list[Callable[[Path], object]] = [lambda path: path.chmod(0o600), lambda path: os.utime(path, ns=(0, 1)), Path.unlink]
    for number, change in enumerate(changes):
        copy = tmp_path / f"copy-{number}"
        subprocess.run(["cp", "-a", str(tree), str(copy)], check=True)
        change(copy / "big")
        assert intake(copy, next(stores))["digest"] != digest


class Stops(Progress):
    """Somebody presses Ctrl-C when so many slabs are stored."""

    slabs = 0
    stop_at = 0

    def chunks(self, length: int, new: int) -> None:
        super().chunks(length, new)
        self.slabs += 1
        if self.slabs == self.stop_at:
            raise Interrupted("stopped by a test")


@pytest.fixture
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a MiB: two of the largest chunks."""
    monkeypatch.setattr(content, "SLAB", 64 * 1024)


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("stop_at", [1, 3, 7])
def test_interrupted_and_run_again(tree: Path, stores: Iterator[str], digest: str, jobs: int, stop_at: int) -> None:
    store = next(stores)
    progress = Stops()
    progress.stop_at = stop_at
    with pytest.raises(Interrupted):
        intake(tree, store, jobs=jobs, block_size=100_000, progress=progress)
    assert open_store(store).snapshots() == []
    result = intake(tree, store, jobs=jobs, block_size=100_000)
    assert result["digest"] == digest
    if stop_at == 7:  # whole blocks lay there: what is in them is neither read (small files) nor sent again
        assert result["bytes_new"] < result["size"] * 3 // 4


def test_the_second_run_changes_nothing(tree: Path, store: str) -> None:
    first = intake(tree, store)
    second = intake(tree, store)
    assert (first["changed"], second["changed"]) == (True, False)
    assert (first["snapshot"], first["digest"]) == (second["snapshot"], second["digest"])
    assert second["bytes_read"] == second["bytes_new"] == second["bytes_stored"] == 0
    assert second["files_unchanged"] == FILES
    assert len(open_store(store).snapshots()) == 1


def test_without_a_cache_all_is_read_and_nothing_stored(tree: Path, store: str, own_state: Path) -> None:
    first = intake(tree, store)
    shutil.rmtree(own_state / "cache")
    second = intake(tree, store)
    assert (second["changed"], second["digest"]) == (False, first["digest"])
    assert second["bytes_read"] == first["bytes_read"]
    assert second["bytes_new"] == second["bytes_stored"] == second["files_unchanged"] == 0


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", bytes(10_000)], ids=["empty", "text", "zeros"])
def test_a_damaged_cache_only_costs_time(tree: Path, store: str, own_state: Path, rubbish: bytes) -> None:
    first = intake(tree, store)
    for path in (own_state / "cache").iterdir():
        path.write_bytes(rubbish)
    assert intake(tree, store)["digest"] == first["digest"]


def test_a_torn_cache_is_used_as_far_as_it_goes(tree: Path, store: str, own_state: Path) -> None:
    first = intake(tree, store)
    for path in (own_state / "cache").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    second = intake(tree, store)
    assert second["digest"] == first["digest"]
    assert 0 < second["files_unchanged"] < FILES


def test_the_cache_of_one_store_is_not_believed_by_another(tree: Path, stores: Iterator[str]) -> None:
    one, other = next(stores), next(stores)
    first, second = intake(tree, one), intake(tree, other)
    assert second["files_unchanged"] == 0
    assert second["bytes_new"] == first["bytes_new"] > 0


def test_a_change_is_found_and_only_it_is_stored(store: str, tmp_path: Path) -> None:
    source = grow(tmp_path / "changing")
    settle(source)
    first = intake(source, store)
    (source / "deep" / "07").write_bytes(b"another content")
    second = intake(source, store)
    assert second["digest"] != first["digest"]
    assert second["snapshot"] != first["snapshot"]
    assert second["bytes_new"] == len(b"another content")
    assert second["files_unchanged"] == FILES - 1
    snapshot = open_store(store).find_snapshot(second["digest"])
    entry = contents.resolve(open_store(store), snapshot.manifest.sources[0].root, b"deep/07")
    assert open_store(store).payload(entry.digest) == b"another content"


def test_labels_make_another_snapshot_of_the_same_content(tree: Path, store: str) -> None:
    first = intake(tree, store)
    second = intake(tree, store, request={"labels": {"case": "17"}})
    third = intake(tree, store, request={"labels": {"case": "17"}})
    assert first["digest"] == second["digest"] == third["digest"]
    assert first["snapshot"] != second["snapshot"] == third["snapshot"]
    assert (second["changed"], third["changed"]) == (True, False)
    assert [dict(each.about.labels) for each in open_store(store).snapshots()] == [{}, {"case": "17"}]


def test_the_domain_and_the_order_of_sources_count(tree: Path, store: str) -> None:
    first = intake(tree, store)
    assert intake(tree, store, request={"domain": "other"})["snapshot"] != first["snapshot"]
    with pytest.raises(Usage, match="named twice"):
        run_twice(tree, store)


def run_twice(tree: Path, store: str) -> Any:
    from asl.intake.request import Request
    from asl.intake.run import run

    return run(Request((f"tree:{tree}", f"tree:{tree}"), store, "d"))


def test_the_receipt_tells_when_and_where_and_the_snapshot_does_not(tree: Path, store: str) -> None:
    result = intake(tree, store)
    snapshot = open_store(store).find_snapshot("latest")
    assert snapshot.receipt["request"]["sources"] == [f"tree:{tree}"]
    assert snapshot.receipt["began"] <= snapshot.receipt["ended"]
    assert snapshot.receipt["host"] == os.uname().nodename
    manifest = snapshot.manifest.encode().decode("ascii")
    assert str(tree) not in manifest and os.uname().nodename not in manifest
    assert snapshot.about.size == result["size"]


class Removes(Progress):
    """A file goes while the one before it is read."""

    victim: Path

    def read(self, length: int) -> None:
        self.victim.unlink(missing_ok=True)
        super().read(length)


def test_losses_are_listed_and_end_with_1(store: str, tmp_path: Path) -> None:
    source = grow(tmp_path / "vanishing")
    progress = Removes()
    progress.victim = source / "sparse"
    result = intake(source, store, progress=progress)
    assert result["exit_code"] == 1
    assert [(loss["what"], loss["where"]) for loss in result["losses"]] == [("vanished", "sparse")]
    snapshot = open_store(store).find_snapshot("latest")
    assert snapshot.about.losses == 1
    assert snapshot.receipt["sources"][0]["losses"] == result["losses"]
    names = [each.name for each in contents.tree_entries(open_store(store), top(store, snapshot).digest)]
    assert b"sparse" not in names and b"nothing" in names


def top(store: str, snapshot: Any) -> tree_format.Entry:
    return contents.resolve(open_store(store), snapshot.manifest.sources[0].root, b"")


def test_the_store_may_lie_in_the_tree_and_is_left_out(tmp_path: Path) -> None:
    source = grow(tmp_path / "around")
    location = str(source / "store")
    init_store(location)
    result = intake(source, location)
    snapshot = open_store(location).find_snapshot("latest")
    names = [each.name for each in contents.tree_entries(open_store(location), top(location, snapshot).digest)]
    assert result["exit_code"] == 0 and b"store" not in names
    assert any("left out" in note for note in snapshot.receipt["sources"][0]["notes"])


def test_a_store_is_not_read_into_itself(store: str) -> None:
    with pytest.raises(Refused) as caught:
        intake(Path(store), store)
    assert caught.value.reason == "STORE_ON_SOURCE"


def test_what_cannot_be_meant_is_refused_before_anything_is_done(store: str, tmp_path: Path) -> None:
    before = sorted(str(path) for path in Path(store).rglob("*"))
    for source in (tmp_path / "absent", Path("/proc")):
        with pytest.raises(AslError):
            intake(source, store)
    with pytest.raises(Usage):
        intake(tmp_path, store, request={"domain": "not/a/domain"})
    assert sorted(str(path) for path in Path(store).rglob("*")) == before
