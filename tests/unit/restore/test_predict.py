# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What --dry-run says is what the restore then does, name by name, and a second one does nothing."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest
from unit.restore.support import Shelf, link, symlink

from asl.errors import AslError, Refused, Usage
from asl.formats import recipe, tree
from asl.formats.artifact import TAG_TREE
from asl.formats.tree import Entry
from asl.restore import content_changes, restore_content, restore_tree, tree_changes

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and loop devices need root")
NS = 1_234_567_890_987_654_321
TIME: dict[str, Any] = {"mtime_s": NS // 10**9, "mtime_ns": NS % 10**9}
MINE: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid(), **TIME}
Listed = list[tuple[str, str]]


def state(back: Path) -> Any:
    """Everything about everything below BACK, so that a prediction that touches something is caught."""
    found = []
    for path in sorted([back, *back.rglob("*")]) if back.exists() else []:
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found.append((str(path), status.st_mode, status.st_uid, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, data))
    return found


def run(shelf: Shelf, root: bytes, back: Path, path: bytes = b"", *, overwrite: bool = True) -> Listed:
    """Predict, restore and restore again; what was done."""
    before = state(back)
    predicted = tree_changes(shelf, root, path, str(back), overwrite=overwrite)
    assert state(back) == before, "a prediction changes nothing"
    done = restore_tree(shelf, root, path, str(back), overwrite=overwrite)
    assert predicted.listed == done.changes.listed
    assert not tree_changes(shelf, root, path, str(back))
    before = state(back)
    again = restore_tree(shelf, root, path, str(back))  # nothing would change, so that nothing has to be allowed
    assert state(back) == before, "what nobody consented to change is not touched"
    assert not again.changes and again.skipped == again.files == done.files
    return [tuple(each) for each in done.changes.listed]


def sample(shelf: Shelf, **more: Any) -> bytes:
    sub = shelf.directory(b"sub", shelf.file(b"x", b"1", **MINE), link(b"y", b"plain"), mode=0o750, **MINE)
    return shelf.root(
        sub, symlink(b"way", b"plain")._replace(**MINE),
        shelf.file(b"plain", b"content" * 999, mode=0o640, xattrs=((b"user.k", b"v"),), **MINE),
        shelf.file(b"holes", b"a" * 5000, (recipe.HOLE, 9000), (recipe.UNREAD, 512), **MINE), Entry(b"pipe", tree.FIFO, 0o600, **MINE),
        **MINE, **more,
    )  # fmt: skip


def test_a_place_that_is_not_there(shelf: Shelf, back: Path) -> None:
    done = run(shelf, sample(shelf), back, overwrite=False)
    assert done == [(name, "make") for name in (".", "holes", "pipe", "plain", "sub", "sub/x", "sub/y", "way")]


CASES: dict[str, tuple[Callable[[Path], object], Listed]] = {
    "content, same size and time": (lambda at: spoil(at / "plain"), [("plain", "replace"), ("sub/y", "replace")]),
    "size": (lambda at: os.truncate(at / "holes", 3), [("holes", "replace")]),
    "mode of a file": (lambda at: (at / "plain").chmod(0o600), [("plain", "attributes")]),
    "mode of a directory": (lambda at: (at / "sub").chmod(0o755), [("sub", "attributes")]),
    "mode of the destination": (lambda at: at.chmod(0o700), [(".", "attributes")]),
    "mode of a fifo": (lambda at: (at / "pipe").chmod(0o644), [("pipe", "attributes")]),
    "time of a directory": (lambda at: os.utime(at / "sub"), [("sub", "attributes")]),
    "time of a link": (lambda at: os.utime(at / "way", follow_symlinks=False), [("way", "attributes")]),
    "xattr changed": (lambda at: os.setxattr(at / "plain", "user.k", b"w"), [("plain", "attributes")]),
    "xattr gone": (lambda at: os.removexattr(at / "plain", "user.k"), [("plain", "attributes")]),
    "xattr too many": (lambda at: os.setxattr(at / "sub", "user.more", b""), [("sub", "attributes")]),
    "a name gone": (lambda at: (at / "sub/x").unlink(), [("sub/x", "make"), ("sub", "attributes")]),
    "a link no more": (lambda at: unlinked(at / "sub/y"), [("sub/y", "replace"), ("sub", "attributes")]),
    "another kind": (lambda at: other_kind(at / "sub"), [("sub", "replace"), ("sub/x", "make"), ("sub/y", "make"), (".", "attributes")]),
    "another target": (lambda at: retarget(at / "way"), [("way", "replace"), (".", "attributes")]),
    "something beside": (lambda at: (at / "sub/more").write_bytes(b""), [("sub", "attributes")]),
}


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(NS, NS))


def unlinked(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def other_kind(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("/")


def retarget(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_named_and_mended(shelf: Shelf, back: Path, case: str) -> None:
    root = sample(shelf)
    restore_tree(shelf, root, b"", str(back))
    change, wanted = CASES[case]
    change(back)
    with pytest.raises(Refused) as refused:
        tree_changes(shelf, root, b"", str(back))
    assert refused.value.reason == "DESTINATION_NOT_EMPTY"
    assert sorted(run(shelf, root, back)) == sorted(wanted)


@pytest.mark.parametrize("case", CASES)
def test_what_nobody_consented_to_stays_as_it_is(shelf: Shelf, back: Path, case: str) -> None:
    root = sample(shelf)
    restore_tree(shelf, root, b"", str(back))
    CASES[case][0](back)
    before = state(back)
    with pytest.raises(Refused) as refused:
        restore_tree(shelf, root, b"", str(back))
    assert refused.value.reason == "DESTINATION_NOT_EMPTY" and state(back) == before


def test_the_first_change_is_the_refusal(back: Path) -> None:
    class Counting(Shelf):
        asked = 0

        def payload(self, digest: bytes, type_tag: Optional[int] = None) -> bytes:
            self.asked += type_tag == TAG_TREE
            return super().payload(digest, type_tag)

    shelf = Counting()
    root = shelf.root(*[shelf.directory(b"%02d" % n, shelf.file(b"f", b"%d" % n, **MINE), **MINE) for n in range(60)], **MINE)
    restore_tree(shelf, root, b"", str(back))
    (back / "01/f").unlink()
    for ask in (tree_changes, restore_tree):
        shelf.asked = 0
        with pytest.raises(Refused):
            ask(shelf, root, b"", str(back))
        assert 0 < shelf.asked < 10


@needs_root
def test_owners_count(shelf: Shelf, back: Path) -> None:
    root = sample(shelf)
    restore_tree(shelf, root, b"", str(back))
    for name in ("holes", "sub", "way", "pipe"):
        os.chown(back / name, 1234, 5678, follow_symlinks=False)
    assert run(shelf, root, back) == [(name, "attributes") for name in ("holes", "pipe", "sub", "way")]


@pytest.mark.parametrize("path", [b"sub", b"/sub/x", b"sub/y", b"plain"])
@pytest.mark.parametrize("there", [False, True])
def test_parts(shelf: Shelf, back: Path, path: bytes, there: bool) -> None:
    if there:
        (back / "sub").mkdir(parents=True)
    done = run(shelf, sample(shelf), back, path, overwrite=False)
    assert ("sub", "attributes") in done if path == b"sub" and there else {what for _, what in done} == {"make"}


def test_what_is_in_the_way_and_stays_is_no_change(shelf: Shelf, back: Path) -> None:
    root = sample(shelf)
    (back / "plain").mkdir(parents=True)
    (back / "plain/precious").write_bytes(b"")
    predicted = tree_changes(shelf, root, b"", str(back), overwrite=True)
    done = restore_tree(shelf, root, b"", str(back), overwrite=True)
    assert predicted.listed == done.changes.listed and ("plain", "replace") not in done.changes.listed
    assert {loss.what for loss in done.losses} >= {"exists", "unread"}


def test_hostile_names_are_predicted_as_the_losses_they_become(shelf: Shelf, back: Path) -> None:
    broken = shelf.directory(b"gone", shelf.file(b"f", b"gone"), **MINE)
    shelf.broken.add(broken.digest)
    root = shelf.root(link(b"a", b"sub"), link(b"b", b"../x"), link(b"c", b"missing"), shelf.directory(b"sub", **MINE), broken, **MINE)
    predicted = tree_changes(shelf, root, b"", str(back))
    assert predicted.listed == restore_tree(shelf, root, b"", str(back)).changes.listed


def test_deep_trees_need_neither_descriptors_nor_a_deep_stack(shelf: Shelf, back: Path) -> None:
    entry = shelf.directory(b"d", shelf.file(b"f", b"x", **MINE), **MINE)
    for _ in range(500):
        entry = shelf.directory(b"d", entry, shelf.file(b"f", b"x", **MINE), **MINE)
    root = shelf.root(entry, **MINE)
    predicted = tree_changes(shelf, root, b"", str(back))
    done = restore_tree(shelf, root, b"", str(back))
    assert (predicted.listed, predicted.omitted) == (done.changes.listed, done.changes.omitted)
    assert len(predicted.listed) + predicted.omitted == 1 + 2 * 501
    assert not tree_changes(shelf, root, b"", str(back))


def test_by_chance(shelf: Shelf, tmp_path: Path) -> None:
    seed = int(os.environ.get("ASL_SEED", random.randrange(10**9)))
    print(f"ASL_SEED={seed}")
    chance = random.Random(seed)
    for number in range(40):
        back = tmp_path / str(number)
        root = sample(shelf)
        if chance.random() < 0.8:
            restore_tree(shelf, root, b"", str(back))
            for case in chance.sample(sorted(CASES), chance.randrange(4)):
                with contextlib.suppress(OSError):  # what it is about is not there any more
                    CASES[case][0](back)
        run(shelf, root, back)


PARTS = (b"a" * 70_000, (recipe.HOLE, 1 << 20), b"b" * 70_000, (recipe.UNREAD, 8192), b"c" * 1536)
SIZE = sum(len(part) if isinstance(part, bytes) else part[1] for part in PARTS)


def content(shelf: Shelf, path: str, **more: Any) -> list[str]:
    """Predict, restore and restore again, as run(); how it changed."""
    digest = shelf.recipe(*PARTS)
    before = Path(path).read_bytes() if Path(path).exists() else None
    predicted = content_changes(shelf, digest, path, size=SIZE, **more)
    assert before == (Path(path).read_bytes() if Path(path).exists() else None)
    done = restore_content(shelf, digest, path, size=SIZE, **more)
    assert predicted.listed == done.changes.listed
    plain = {"device": more.get("device", False)}
    assert not content_changes(shelf, digest, path, size=SIZE, **plain)
    again = restore_content(shelf, digest, path, size=SIZE, **plain)
    assert not again.changes and again.skipped == 1 and [loss.what for loss in again.losses][-1:] == ["unread"]
    return [each.what for each in done.changes.listed]


def ruin(at: int, data: bytes) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(data)

    return change


@pytest.mark.parametrize(
    "change",
    [ruin(0, b"X"), ruin(80_000, b"X"), ruin(SIZE - 1636, b"X"), ruin(SIZE, b"longer"), lambda file: os.truncate(file, SIZE - 1), None],
    ids=["data", "hole", "unread", "longer", "shorter", "nothing"],
)  # fmt: skip
def test_files(shelf: Shelf, tmp_path: Path, change: Optional[Callable[[Path], None]]) -> None:
    file = tmp_path / "disk.img"
    assert content(shelf, str(file)) == ["make"]
    if change is None:
        assert content(shelf, str(file)) == []
        return
    change(file)
    with pytest.raises(Refused) as refused:
        content_changes(shelf, shelf.recipe(*PARTS), str(file), size=SIZE)
    assert refused.value.reason == "EXISTS"
    assert content(shelf, str(file), overwrite=True) == ["replace"]


def test_a_chunk_that_the_store_has_lost(shelf: Shelf, tmp_path: Path) -> None:
    file, digest = tmp_path / "disk.img", shelf.recipe(*PARTS)
    shelf.broken.add(shelf.put(b"b" * 70_000))
    for _ in range(2):  # once it is zeros, there is nothing to do
        predicted = content_changes(shelf, digest, str(file), size=SIZE, overwrite=True)
        done = restore_content(shelf, digest, str(file), size=SIZE, overwrite=True)
        assert predicted.listed == done.changes.listed
    assert not done.changes and [loss.what for loss in done.losses] == ["damaged", "unread"]


@needs_root
def test_devices(shelf: Shelf, tmp_path: Path) -> None:
    image = tmp_path / "disk"
    image.write_bytes(os.urandom(4 << 20))
    device = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run(["blockdev", "--setrw", device], check=True)
        digest = shelf.recipe(*PARTS)
        for more in ({}, {"overwrite": True}, {"overwrite": True, "serial": "other"}):
            with pytest.raises(AslError) as refused:
                content_changes(shelf, digest, device, size=SIZE, device=True, **more)
            assert refused.value.reason in ("EXISTS", "SERIAL_NEEDED")
        named: dict[str, Any] = {"device": True, "overwrite": True, "serial": str(image)}
        predicted = content_changes(shelf, digest, device, size=SIZE, **named)
        assert predicted.listed == restore_content(shelf, digest, device, size=SIZE, **named).changes.listed == [(device, "replace")]
        # What nobody could read is left as it is there: that is no difference.
        assert not content_changes(shelf, digest, device, size=SIZE, device=True)
        assert not restore_content(shelf, digest, device, size=SIZE, **named).changes
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def test_a_link_that_leads_nowhere_is_named(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    with pytest.raises(Usage) as error:
        content_changes(shelf, shelf.recipe(*PARTS), str(tmp_path / "link"), size=SIZE)
    assert error.value.reason == "DESTINATION_KIND" and str(tmp_path / "link") in error.value.message
