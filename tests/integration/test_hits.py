# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From bad sectors to the names of files: the list is the one that comparing every file with the healthy disk gives.

ASL_HITS is the number of bad ranges, ASL_SEED repeats a run.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from integration.support import BIN, Machine, number
from rig import badsectors, loops
from rig.process import RigError, run

from asl.sources.fs import NOT_REPLAYED

pytestmark = pytest.mark.root
MIB = 1 << 20
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-b", "4096"],
    "ext3": ["mkfs.ext3", "-q", "-F", "-b", "1024"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
SIZES = {"ext4": 96, "ext3": 64, "xfs": 320, "btrfs": 160}
OPTIONS = {"ext4": "ro,noload", "ext3": "ro,noload", "xfs": "ro,nouuid,norecovery", "btrfs": "ro"}
TABLE = "label: gpt\nfirst-lba: 2048\nsize=8MiB, type=U\ntype=L\n"
# What one name holds: its kind, and its content, target or nothing. None: it cannot be read.
Seen = dict[str, "tuple[str, bytes] | None"]


@contextmanager
def mounted(image: Path, options: str, *, offset: int = 0, readonly: bool = True) -> Iterator[Path]:
    """The file system at OFFSET of IMAGE."""
    device, place = loops.attach(image, offset=offset, readonly=readonly), image.with_name("mount")
    place.mkdir(exist_ok=True)
    try:
        run(["mount", "-o", options, device, str(place)])
        try:
            yield place
        finally:
            run(["umount", str(place)])
    finally:
        run(["losetup", "--detach", device])


def fill(place: Path, rng: random.Random) -> None:
    """Files of all sizes, links, long links, and directories with so many names that they take several blocks."""
    for number_ in range(9):
        folder = place / f"folder {number_}" / "below"
        folder.mkdir(parents=True)
        for name in range(30):
            (folder / f"file-{name}").write_bytes(rng.randbytes(int(min(400_000, 200 * rng.paretovariate(0.5)))))
    many = place / "many"
    many.mkdir()
    for name in range(700):
        (many / f"{name:04d}-{'x' * 60}").write_bytes(rng.randbytes(rng.randrange(1, 6000)))
    for name in range(80):
        (many / f"link-{name}").symlink_to("there/" + "y" * rng.randrange(1, 200))
    (place / "other-name").hardlink_to(place / "folder 1" / "below" / "file-1")
    with (place / "sparse").open("wb") as file:
        for at in range(0, 20 * MIB, MIB):
            file.seek(at)
            file.write(rng.randbytes(30_000))


def look(place: Path) -> Seen:
    """Every name below PLACE but directories."""
    found: Seen = {}
    for folder, folders, names in os.walk(place):
        for name in [*names, *(each for each in folders if os.path.islink(os.path.join(folder, each)))]:
            path = Path(folder) / name
            try:
                what = ("link", os.fsencode(path.readlink())) if path.is_symlink() else ("file", path.read_bytes())
            except OSError:
                what = None
            found[str(path.relative_to(place))] = what
    return found


def chosen(data: bytes, count: int, start: int, rng: random.Random) -> list[tuple[int, int]]:
    """Bad ranges of all sizes where something is written, metadata and content alike, behind START: the superblock stays."""
    sectors: set[int] = set()
    used = [at for at in range(start // 4096, len(data) // 4096) if data[at * 4096 : at * 4096 + 4096].strip(b"\0")]
    for _ in range(count):
        first = rng.choice(used) * 8 + rng.randrange(8)
        sectors.update(range(first, min(len(data) // 512, first + min(60, int(rng.paretovariate(0.8))))))
    found: list[tuple[int, int]] = []
    for sector in sorted(sectors):
        if found and found[-1][1] == sector * 512:
            found[-1] = (found[-1][0], sector * 512 + 512)
        else:
            found.append((sector * 512, sector * 512 + 512))
    return found


class Disk(NamedTuple):
    """An image, and what is in the file system of a KIND in it, in bytes from OFFSET on."""

    image: Path
    kind: str
    healthy: Seen
    offset: int = 0
    volume: int = 0

    def damaged(self, machine: Machine, store: Path) -> tuple[set[str], set[str]]:
        """By comparison: (names whose content is not that of the healthy disk, names that are not there any more)."""
        back = self.image.with_name("back.img")
        machine.run("asl-admin", "restore", "latest", "--file", str(back), "--store", str(store), codes=(1,))
        with mounted(back, OPTIONS[self.kind], offset=self.offset) as place:
            left = look(place)
        return {path for path in left if path in self.healthy and left[path] != self.healthy[path]}, set(self.healthy) - set(left)


def compare(machine: Machine, disk: Disk, bad: Sequence[tuple[int, int]]) -> None:
    """The names that are hit are the damaged ones, and what is gone lies below something that is named."""
    image, kind, healthy, _offset, volume = disk
    badsectors.mapfile(image.with_name("bad.map"), image.stat().st_size, bad)
    store = machine.init(image.with_name("store"))
    map_path = str(image.with_name("bad.map"))
    taken = machine.intake(f"device:{image}", store, "--map", map_path, "--name-files", codes=(1,)).document
    told = machine.run("asl-admin", "hits", "latest", "--store", str(store), codes=(0, 1)).document
    assert told["bytes_unread"] == sum(end - start for start, end in bad) and not told["files_omitted"]
    there = next(each for each in told["volumes"] if each["number"] == volume)
    assert there["type"] == kind, there
    if there["files"] is None:  # what a mount needs is hit: it is for nobody to mount, then
        assert there["why"]
        with pytest.raises(RigError, match="mount"):
            disk.damaged(machine, store)
        print(f"{kind}: it cannot be mounted any more: {there['why']}")
        return
    hits = {each["path"]: each for each in told["files"] if each["volume"] == volume}
    notes = taken["sources"][0]["notes"]
    assert any(f"{there['files_hit']} of {there['files']} files are hit" in note for note in notes), notes
    assert all(any(note.startswith("hit") and f": {path}: " in note for note in notes) for path in list(hits)[:100])
    wrong, gone = disk.damaged(machine, store)
    named = {path for path, each in hits.items() if path in healthy}
    lost = {path for path in gone if path in hits or any(str(above) in hits for above in Path(path).parents)}
    print(f"{kind}: {len(bad)} bad ranges, {len(wrong)} files damaged, {len(gone)} gone, {len(hits)} named")
    assert gone == lost
    assert named - gone >= wrong or there["why"], "where it could be mounted with zeros only, it says that there may be more"
    # Without checksums a block of the file system's own is lost as a whole where a sector of it is: it, and what it leads to.
    more = {path for path in named - gone - wrong if kind != "ext3" or not hits[path]["why"]}
    assert not more
    for path in wrong:  # and the bytes are the right ones, as far as it is a matter of bytes
        for start, length in hits[path]["ranges"]:
            content = healthy[path]
            assert content is not None and start + length <= len(content[1])


@pytest.mark.parametrize("kind", sorted(MAKE))
def test_what_is_hit_is_what_is_damaged(kind: str, tmp_path: Path, machine: Machine) -> None:
    seed, count = number("ASL_SEED", secrets.randbelow(10**9)), number("ASL_HITS", 60)
    print(f"ASL_SEED={seed} ASL_HITS={count}")
    rng, image = random.Random(seed), tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(SIZES[kind] * MIB)
    subprocess.run([*MAKE[kind], str(image)], check=True, capture_output=True)
    with mounted(image, "rw", readonly=False) as place:
        fill(place, rng)
    with mounted(image, OPTIONS[kind]) as place:
        healthy = look(place)
    bad = chosen(image.read_bytes(), count, {"btrfs": 40 * MIB, "xfs": MIB}.get(kind, 2 * MIB), rng)
    compare(machine, Disk(image, kind, healthy), bad)


def test_a_partition_of_a_disk_and_nothing_left_behind(tmp_path: Path, machine: Machine) -> None:
    rng, image = random.Random(4), tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    run(["sfdisk", "--quiet", str(image)], stdin=TABLE)
    (_, first), (offset, length) = loops.partitions(image)
    device = loops.attach(image, offset=offset, size=length, readonly=False)
    run(["mkfs.ext4", "-q", "-b", "1024", device])
    run(["losetup", "--detach", device])
    with mounted(image, "rw", offset=offset, readonly=False) as place:
        fill(place, rng)
    with mounted(image, "ro,noload", offset=offset) as place:
        healthy = look(place)
    bad = [(MIB + first - 4096, MIB + first - 2048), *chosen(image.read_bytes(), 30, offset + 2 * MIB, rng)]
    compare(machine, Disk(image, "ext4", healthy, offset, 2), bad)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text().replace(f"{tmp_path}/mount", "")
    assert str(tmp_path) not in subprocess.run(["losetup", "--list"], check=True, capture_output=True, text=True).stdout


def taken(machine: Machine, image: Path) -> Path:
    """A store with the disk IMAGE, of which a range is missing."""
    bad = [(30 * MIB, 30 * MIB + 4096)]
    badsectors.mapfile(image.with_name("bad.map"), image.stat().st_size, bad)
    store = machine.init(image.with_name("store"))
    machine.intake(f"device:{image}", store, "--map", str(image.with_name("bad.map")), codes=(1,))
    return store


def told_of(machine: Machine, image: Path) -> dict[str, Any]:
    """What hits says of the file system in IMAGE."""
    told = machine.run("asl-admin", "hits", "latest", "--store", str(taken(machine, image)), codes=(0, 1)).document
    (volume,) = told["volumes"]
    return dict(volume)


def refused(machine: Machine, image: Path) -> str:
    """Why hits does not look into the file system in IMAGE."""
    volume = told_of(machine, image)
    assert volume["files"] is None, volume
    return str(volume["why"])


@contextmanager
def attached(*images: Path) -> Iterator[list[str]]:
    """Writable disks, as real ones are."""
    devices = [loops.attach(image, readonly=False) for image in images]
    try:
        yield devices
    finally:
        for device in devices:
            run(["losetup", "--detach", device])


def empty(path: Path, mib: int) -> Path:
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    return path


def test_a_btrfs_of_several_devices_is_not_put_together_with_real_disks(tmp_path: Path, machine: Machine) -> None:
    """The log tree of a power cut is what a mount would replay, onto the disks that can be written."""
    cut = power_cut(tmp_path, 2)
    before = cut[1].read_bytes()
    with attached(cut[1]) as devices:
        run(["btrfs", "device", "scan", *devices])  # as udev does when a disk appears
        assert "a btrfs of 2 devices" in refused(machine, cut[0])
        run(["btrfs", "device", "scan", "--forget", *devices])
        run(["blockdev", "--flushbufs", *devices])
    assert cut[1].read_bytes() == before


def power_cut(folder: Path, count: int) -> list[Path]:
    """The images of a btrfs of COUNT devices as a power cut leaves them."""
    live, cut = [[empty(folder / f"{name}{number}.img", 160) for number in range(count)] for name in ("live", "cut")]
    point = folder / "mount"
    point.mkdir()
    with attached(*live) as devices:
        run(["mkfs.btrfs", "-q", "-f", *(["-d", "raid1", "-m", "raid1"] if count > 1 else []), *devices])
        run(["mount", "-o", ",".join(["commit=300", *(f"device={each}" for each in devices[1:])]), devices[0], str(point)])
        with (point / "file").open("wb") as file:
            file.write(b"x" * 100_000)
            file.flush()
            os.fsync(file.fileno())
        for there, then in zip(live, cut):
            run(["cp", "--sparse=always", str(there), str(then)])
        run(["umount", str(point)])
        run(["btrfs", "device", "scan", "--forget", *devices])
    return cut


@pytest.mark.parametrize("in_use", [False, True])
def test_a_btrfs_whose_real_disk_is_here_is_looked_at_beside_it(in_use: bool, tmp_path: Path, machine: Machine) -> None:
    """Under a UUID of its own: nothing is written to the disk, and what the kernel has mounted stays what it is."""
    (image,) = power_cut(tmp_path, 1)
    real = tmp_path / "real.img"
    run(["cp", "--sparse=always", str(image), str(real)])
    before = real.read_bytes()
    with attached(real) as devices:
        if in_use:
            run(["mount", "-o", "ro,rescue=nologreplay", devices[0], str(tmp_path / "mount")])
        try:
            volume = told_of(machine, image)
            assert volume["files"] is not None and volume["view"] == NOT_REPLAYED, volume
            if in_use:
                (line,) = [each for each in Path("/proc/self/mountinfo").read_text().splitlines() if f" {tmp_path}/mount " in each]
                assert f" {devices[0]} " in line
        finally:
            if in_use:
                run(["umount", str(tmp_path / "mount")])
        run(["blockdev", "--flushbufs", *devices])
    assert real.read_bytes() == before


def test_a_btrfs_that_keeps_its_uuid_is_not_mounted_beside_its_disk(tmp_path: Path, machine: Machine) -> None:
    image, real = empty(tmp_path / "disk.img", 160), tmp_path / "real.img"
    run(["mkfs.btrfs", "-q", "-f", "--csum", "xxhash", str(image)])
    run(["cp", "--sparse=always", str(image), str(real)])
    with attached(real) as devices:
        assert f"{devices[0]} here has the same UUID" in refused(machine, image)


def test_an_xfs_whose_log_is_elsewhere_is_not_mounted(tmp_path: Path, machine: Machine) -> None:
    image, log = empty(tmp_path / "disk.img", 320), empty(tmp_path / "log.img", 100)
    run(["mkfs.xfs", "-q", "-f", "-l", f"logdev={log},size=64m", str(image)])
    assert "its log is on another device" in refused(machine, image)


def test_a_journal_on_another_disk_is_left_alone(tmp_path: Path, machine: Machine) -> None:
    image, journal = empty(tmp_path / "disk.img", 64), empty(tmp_path / "journal.img", 16)
    with attached(image, journal) as devices:
        run(["mkfs.ext4", "-q", "-b", "1024", "-O", "journal_dev", devices[1]])
        run(["mkfs.ext4", "-q", "-b", "1024", "-J", f"device={devices[1]}", devices[0]])
        assert told_of(machine, image)["view"] == NOT_REPLAYED


def ext4(image: Path) -> Path:
    """A small file system in IMAGE."""
    run([*MAKE["ext4"], str(empty(image, 64))])
    return image


def test_an_image_of_another_size_is_not_looked_at(tmp_path: Path, machine: Machine) -> None:
    image = ext4(tmp_path / "disk.img")
    store = taken(machine, image)
    words = ["hits", "latest", "--store", str(store), "--image"]
    assert machine.run("asl-admin", *words, str(image), codes=(0,)).document["volumes"][0]["files"] is not None
    with image.open("ab") as file:
        file.write(bytes(512))
    assert machine.run("asl-admin", *words, str(image), codes=(2,)).document["reason"] == "WRONG_IMAGE"


def test_a_terminal_sees_how_far_it_is_and_then_nothing_of_it(tmp_path: Path, machine: Machine) -> None:
    image = ext4(tmp_path / "disk.img")
    store = taken(machine, image)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 300, 0, 0))
    argv = [str(BIN / "asl-admin"), "hits", "latest", "--store", str(store)]
    with open(ours, "rb", buffering=0) as terminal:
        try:
            done = subprocess.run(argv, env=machine.environment(), stdout=subprocess.PIPE, stderr=theirs, check=False)
            assert done.returncode in (0, 1)
        finally:
            os.close(theirs)
        drawn = b""
        try:
            while data := terminal.read(1 << 16):
                drawn += data
        except OSError:
            pass  # a terminal that nobody writes to any more ends with EIO
    assert f"device:{image}".encode() in drawn and drawn.endswith(b"\r\x1b[K")
    silent = subprocess.run(argv, env=machine.environment(), capture_output=True, check=False)
    assert not silent.stderr
