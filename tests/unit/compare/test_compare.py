# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin verify --source: real sources, changed under a real snapshot."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from unit.admin.support import damage, text, tool
from unit.restore.support import Shelf

from asl.compare.contents import Content, hold
from asl.formats import block, recipe
from asl.intake.request import Request
from asl.intake.run import run
from asl.restore.ranges import recipe_ranges
from asl.sources import tree as walk
from asl.sources.base import DATA, HOLE, UNREAD, Piece
from asl.sources.device import DeviceSource
from asl.sources.media import Media
from asl.sources.patient import PatientReader
from asl.store import init_store, open_store
from asl.store.contents import resolve

Capture = pytest.CaptureFixture[str]
RANDOM = random.Random(11)
BYTES = RANDOM.randbytes(3 << 20)
OLD = 1_600_000_000


class Site:
    """A tree, a store, and a way to take and to hold."""

    def __init__(self, folder: Path, capsys: Capture) -> None:
        self.tree, self.store, self._capsys = folder / "tree", folder / "store", capsys
        (self.tree / "etc" / "deep").mkdir(parents=True)
        for name in ("a", "etc/deep/b", "etc/small", "etc-more"):
            (self.tree / name).write_bytes(name.encode() * 50)
        (self.tree / "large").write_bytes(BYTES)
        (self.tree / "empty").touch()
        os.link(self.tree / "a", self.tree / "twin")
        (self.tree / "link").symlink_to("etc/small")
        with (self.tree / "sparse").open("wb") as file:
            file.write(b"x" * 5000)
            file.truncate(4 << 20)
        for path in sorted(self.tree.rglob("*"), reverse=True):
            os.utime(path, (OLD, OLD), follow_symlinks=False)
        init_store(str(self.store))

    def take(self, *sources: str, **more: Any) -> dict[str, Any]:
        return run(Request(sources or (f"tree:{self.tree}",), str(self.store), "d", **more))

    def hold(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit status and document of verify; with no WORDS, of everything against the newest snapshot."""
        return tool(self._capsys, "admin", "verify", *(words or ("latest", "--source")), "--store", str(self.store))

    def told(self, *words: str) -> str:
        return text(self._capsys, "admin", "verify", *(words or ("latest", "--source")), "--store", str(self.store))[1]


@pytest.fixture
def site(tmp_path: Path, capsys: Capture) -> Site:
    return Site(tmp_path, capsys)


def named(document: dict[str, Any]) -> dict[str, str]:
    return {each["path"]: each["what"] for each in document["differences"]}


def test_an_unchanged_source_is_equal_in_every_byte(site: Site) -> None:
    taken = site.take()
    code, document = site.hold()
    assert (code, document["ok"], document["complete"]) == (0, True, True)
    assert (document["snapshot"], document["digest"], document["differences"]) == (taken["snapshot"], taken["digest"], [])
    source = document["sources"][0]
    assert (source["files"], source["bytes"], source["bytes_unread"]) == (taken["files"], taken["size"], 0)
    assert "the source is as it was" in site.told()
    assert site.hold("--source", "latest")[1]["snapshot"] == taken["snapshot"], "the word behind --source belongs to the snapshot"


def change_content(tree: Path) -> None:
    with (tree / "large").open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"!")
    os.utime(tree / "large", (OLD, OLD))


def replace_by_link(tree: Path) -> None:
    (tree / "etc/small").unlink()
    (tree / "etc/small").symlink_to("deep/b")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tree: (tree / "new").write_bytes(b"x"), {"new": "new"}),
        (lambda tree: (tree / "twin").unlink(), {"twin": "vanished"}),
        (lambda tree: (tree / "a").chmod(0o600), {"a": "changed", "twin": "changed"}),
        (lambda tree: shutil.rmtree(tree / "etc"), {"etc": "vanished"}),
        (lambda tree: shutil.copytree(tree / "etc", tree / "etc.d"), {"etc.d": "new"}),
        (lambda tree: (tree / "empty").write_bytes(b"now"), {"empty": "changed"}),
        (lambda tree: (tree / "etc/deep/b").write_bytes(b""), {"etc/deep/b": "changed"}),
        (replace_by_link, {"etc/small": "changed"}),
        (change_content, {"large": "changed"}),
        (lambda tree: os.setxattr(tree / "large", "user.note", b"1"), {"large": "changed"}),
    ],
)
def test_every_change_is_told_by_name_and_nothing_else(site: Site, change: Callable[[Path], Any], expected: dict[str, str]) -> None:
    site.take()
    before = {path: os.lstat(path).st_mtime_ns for path in site.tree.rglob("*") if path.is_dir()}
    before[site.tree] = os.lstat(site.tree).st_mtime_ns
    change(site.tree)
    for path, when in before.items():  # that a directory was written to is another change
        if path.exists():
            os.utime(path, ns=(when, when))
    code, document = site.hold()
    assert (code, document["ok"], named(document)) == (5, False, expected)
    assert all(name in site.told() for name in expected)


def test_a_difference_says_what_and_where(site: Site) -> None:
    site.take()
    change_content(site.tree)
    (site.tree / "etc-more").write_bytes(b"other" * 10)
    os.utime(site.tree / "etc-more", (OLD, OLD))
    first, second = site.hold()[1]["differences"]
    assert (first["path"], first["fields"]) == ("etc-more", ["size"])
    assert "50 bytes, and had 400" in first["why"]
    assert (second["path"], second["fields"]) == ("large", ["content"])
    [[start, length]] = second["ranges"]
    assert start <= 1_500_000 < start + length and length <= 256 * 1024, "the chunk that the byte lies in"


def test_a_directory_that_is_gone_is_one_difference(site: Site) -> None:
    site.take()
    shutil.rmtree(site.tree / "etc")
    gone = site.hold()[1]["differences"][-1]
    assert (gone["path"], gone["what"], gone["below"]) == ("etc", "vanished", 3)


def test_one_file_as_a_tree(site: Site) -> None:
    site.take(f"tree:{site.tree}/large")
    assert site.hold()[0] == 0
    change_content(site.tree)
    code, document = site.hold()
    assert (code, named(document)) == (5, {"": "changed"})


@pytest.mark.parametrize("kind", ["device", "stream"])
def test_a_run_of_bytes(site: Site, tmp_path: Path, kind: str) -> None:
    image = tmp_path / "image"
    image.write_bytes(BYTES + bytes(1 << 20))
    taken = site.take(f"{kind}:{image}")
    code, document = site.hold()
    assert (code, document["sources"][0]["bytes"]) == (0, 4 << 20)
    (tmp_path / "moved").write_bytes(image.read_bytes())
    image.unlink()
    assert site.hold()[1]["reason"] == "SOURCE_NOT_FOUND"
    assert site.hold("latest", "--source", f"{kind}:{tmp_path}/moved")[0] == 0, "it has another name now"
    for at in (0, (3 << 20) - 1, (3 << 20) + 5):
        changed = bytearray(BYTES + bytes(1 << 20))
        changed[at] ^= 1
        image.write_bytes(changed)
        code, document = site.hold()
        [[start, length]] = document["differences"][0]["ranges"]
        assert (code, start <= at < start + length, document["snapshot"]) == (5, True, taken["snapshot"])
    image.write_bytes(BYTES)
    code, document = site.hold()
    assert (code, document["differences"][0]["why"]) == (5, f"it ends at byte {3 << 20}")
    image.write_bytes(BYTES + bytes(1 << 20) + b"more")
    code, document = site.hold()
    assert (code, document["differences"][0]["why"]) == (5, "it is 4 bytes longer")


def test_what_the_snapshot_lacks_is_left_out_and_listed(site: Site, tmp_path: Path) -> None:
    image, rescued = tmp_path / "image", tmp_path / "map"
    image.write_bytes(BYTES)
    rescued.write_text("0x0 + 1\n0x0 0x100000 +\n0x100000 0x600 -\n0x100600 0x1FFA00 +\n")
    site.take(f"device:{image}", media=Media(map=str(rescued)))
    changed = bytearray(BYTES)
    changed[0x100000:0x100600] = b"!" * 0x600
    image.write_bytes(changed)
    code, document = site.hold()
    assert (code, document["ok"], document["complete"], document["differences"]) == (1, True, False, [])
    [lacking] = document["not_compared"]
    assert (lacking["what"], lacking["ranges"]) == ("unread", [[0x100000, 0x600]])
    assert document["sources"][0]["bytes"] == (3 << 20) - 0x600
    assert "as far as it could be compared" in site.told()


class Dying(PatientReader):
    """Each of its processes stops for good when it is to read, but the first one answers once."""

    def __init__(self, fd: int, deadline: float) -> None:
        super().__init__(fd, deadline)
        self.reads = 0

    def read(self, at: int, size: int, *, ahead: Sequence[tuple[int, int]] = ()) -> memoryview:
        self.reads += 1
        if self.reads > 1:
            if self._link is None:
                self._start()
            os.kill(self._pid, signal.SIGSTOP)
        return super().read(at, size, ahead=ahead)


@pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")
def test_a_disk_that_stops_to_answer_is_left_alone(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "image"
    image.write_bytes(BYTES)
    loop = subprocess.run(["losetup", "-r", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    try:
        site.take(f"device:{loop}")
        code, document = site.hold()
        assert (code, document["sources"][0]["bytes"]) == (0, 3 << 20)
        dying: list[Dying] = []

        def patient(source: DeviceSource) -> PatientReader:
            dying.append(Dying(source._fd, 0.1))
            return dying[-1]

        monkeypatch.setattr(DeviceSource, "patient", patient)
        code, document = site.hold()
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)
    assert (code, document["ok"], document["complete"], document["differences"]) == (1, True, False, [])
    [lacking] = document["not_compared"]
    [[start, length]] = lacking["ranges"]
    assert lacking["what"] == "unreadable" and start + length == 3 << 20 and start <= 1 << 20
    assert lacking["why"] == "3 reads in a row did not come back within 0.1 seconds each"
    assert dying[0].abandoned == 3


def test_a_store_that_cannot_say_is_no_equality(site: Site) -> None:
    site.take()
    store = open_store(str(site.store))
    place = store.locate(resolve(store, store.find_snapshot("latest").manifest.sources[0].root, b"etc").digest)[0]
    damage(site.store, place.block, block.HEADER.size + place.offset + place.length // 2)
    code, document = site.hold()
    assert (code, document["ok"]) == (5, False)
    assert [(each["path"], each["what"]) for each in document["not_compared"]] == [("etc", "damaged")]
    assert document["differences"] == [], "what nobody knows is not said to be new"
    assert document["not_compared_damaged"] == 1
    printed = site.told()
    assert "the store is DAMAGED" in printed and "NOT as it was" not in printed, "the store's fault, not the source's"


def test_which_source(site: Site, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(BYTES[:5000])
    site.take(f"device:{tmp_path}/one", f"device:{tmp_path}/two", f"tree:{site.tree}")
    assert len(site.hold()[1]["sources"]) == 3
    for word in ("2", f"device:{tmp_path}/two"):
        assert [each["source"] for each in site.hold("latest", "--source", word)[1]["sources"]] == [f"device:{tmp_path}/two"]
    (tmp_path / "three").write_bytes(BYTES[:5000])
    for word, reason in ((f"device:{tmp_path}/three", "AMBIGUOUS"), ("9", "NO_SOURCE"), (f"stream:{tmp_path}/one", "NO_SOURCE")):
        code, document = site.hold("latest", "--source", word)
        assert (code, document["reason"]) == (2, reason)
    assert site.hold("latest", "--source", "--sample", "5")[1]["reason"] == "BAD_SAMPLE"


def test_a_source_that_does_not_give_everything_any_more() -> None:
    shelf, content = Shelf(), Content()
    digest = shelf.recipe(b"a" * 1000, (recipe.HOLE, 20_000), b"b" * 1000, (recipe.UNREAD, 500), b"c" * 1000)
    pieces = [
        Piece(DATA, 1000, memoryview(b"a" * 1000)), Piece(HOLE, 10_000), Piece(UNREAD, 512), Piece(HOLE, 9488), Piece(UNREAD, 100),
        Piece(DATA, 900, memoryview(b"b" * 900)), Piece(UNREAD, 500), Piece(DATA, 1000, memoryview(b"c" * 1000)),
    ]  # fmt: skip
    passed: list[int] = []
    hold(iter(pieces), recipe_ranges(shelf, digest, 23_500), content, passed.append)
    assert (content.equal, bool(content.different), sum(passed)) == (1000 + 19_488 + 1000, False, 23_500)
    assert content.unreadable.document()["ranges"] == [[11_000, 512], [21_000, 1000]]
    assert content.unread.document() == {"ranges": [[22_000, 500]], "ranges_omitted": 0}


def test_a_directory_that_cannot_be_listed_hides_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.take()
    listed = walk._names

    def names(fd: int) -> tuple[list[bytes], str]:
        return ([b"small"], "Input/output error") if os.readlink(f"/proc/self/fd/{fd}").endswith("/etc") else listed(fd)

    monkeypatch.setattr(walk, "_names", names)
    code, document = site.hold()
    assert (code, document["differences"]) == (1, [])
    assert {(each["path"], each["what"]) for each in document["not_compared"]} == {("etc/deep", "unreadable"), ("etc", "unreadable")}
    assert document["sources"][0]["files"] == 8, "all but the one file that lies below what is missing"
    # The other way round: what could not be listed then is not new now.
    site.take()
    monkeypatch.undo()
    code, document = site.hold()
    assert (code, document["differences"]) == (1, [])
    assert [(each["path"], each["what"]) for each in document["not_compared"]] == [("etc", "unread")]
