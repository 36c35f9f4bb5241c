# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A block device with bad sectors: nbdkit's ddrescue filter refuses what a mapfile calls bad, nbdfuse makes a file of it, and a
read-only loop device makes a disk of the file. Reads of bad sectors give EIO, for these sectors and no others."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .process import output, run

SECTOR = 512


def ranges(size: int, count: int, seed: int, largest: int = 400) -> list[tuple[int, int]]:
    """COUNT bad ranges (start, end in bytes, whole sectors) of all sizes on a disk of SIZE bytes: most are small, a few are large."""
    rng = random.Random(seed)
    bad: set[int] = set()
    for _ in range(count):
        length = min(largest, int(rng.paretovariate(0.7)))
        first = rng.randrange(size // SECTOR - length)
        bad.update(range(first, first + length))
    found: list[tuple[int, int]] = []
    for sector in sorted(bad):
        if found and found[-1][1] == sector * SECTOR:
            found[-1] = (found[-1][0], (sector + 1) * SECTOR)
        else:
            found.append((sector * SECTOR, (sector + 1) * SECTOR))
    return found


def mapfile(path: Path, size: int, bad: Sequence[tuple[int, int]]) -> None:
    """Write the ddrescue mapfile of a disk of SIZE bytes with the ranges BAD."""
    lines, at = ["0x0 + 1"], 0
    for start, end in [*bad, (size, size)]:
        if start > at:
            lines.append(f"{at:#x} {start - at:#x} +")
        if end > start:
            lines.append(f"{start:#x} {end - start:#x} -")
        at = end
    path.write_text("\n".join(lines) + "\n")


@contextmanager
def device(image: Path, bad: Sequence[tuple[int, int]], *options: str, filters: Sequence[str] = ()) -> Iterator[str]:
    """A block device with the content of IMAGE, in which BAD cannot be read. OPTIONS and FILTERS are nbdkit's."""
    work = image.with_name(f"{image.name}.nbd")
    work.mkdir(exist_ok=True)
    map_path, mount = work / "map", work / "mount"
    mapfile(map_path, image.stat().st_size, bad)
    mount.mkdir(exist_ok=True)
    argv = ["nbdkit", "-s", "--exit-with-parent", "-r", "--filter=ddrescue", *[f"--filter={name}" for name in filters]]
    argv += ["file", str(image), f"ddrescue-mapfile={map_path}", *options]
    fuse = subprocess.Popen(["nbdfuse", "-r", str(mount / "disk"), "--command", *argv], stderr=subprocess.DEVNULL)
    try:
        _wait(mount / "disk", fuse)
        # Without direct I/O the loop device reads whole pages, and a bad sector would fail its neighbours.
        disk = output(["losetup", "--find", "--show", "--read-only", "--direct-io=on", str(mount / "disk")])
        try:
            yield disk
        finally:
            run(["losetup", "--detach", disk])
    finally:
        run(["fusermount3", "-u", "-z", str(mount)], check=False)
        fuse.wait(120)  # a machine that is busy takes its time


def _wait(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until PATH is there, which PROCESS makes: nothing tells when."""
    for _ in range(400):
        if path.exists():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"nbdfuse did not make {path}")


def server_of(image: Path) -> int:
    """The process id of the nbdkit that serves IMAGE: what to stop for a disk that does not answer."""
    return int(output(["pgrep", "-n", "-f", f"^nbdkit .*{image}"]))
