# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images that look like after a power cut, and images to keep a store on."""

from __future__ import annotations

import os
from pathlib import Path

from . import hostile, loops
from .image import root_archive
from .process import run

MIB = 1 << 20
TABLE = """label: gpt
label-id: 2F8A6A5C-9C3B-4B0B-8F0D-0A51AE5C0001
first-lba: 2048
size=16MiB, type=U, name="boot"
type=L, name="root"
"""
# The part of the image's root that goes onto the crashed disk: a few thousand real files.
REAL = ("./etc", "./var/lib/dpkg", "./usr/share/zoneinfo", "./usr/share/perl5", "./usr/share/doc", "./usr/lib/python3*/encodings")


def crashed(image: Path, size: int = 256 * MIB) -> None:
    """Make IMAGE: GPT, a small clean ext4 and a large ext4 whose journal holds what no block outside it has yet.

    The large one is copied while it is mounted and freshly fsynced, as a power cut would leave it. Call inside the rig's namespace, so
    that the mount cannot outlive the process. The image is sparse and its file is read-only (mode 0400) afterwards.
    """
    work = image.with_suffix(".alive")
    with work.open("wb") as handle:
        handle.truncate(size)
    run(["sfdisk", "--quiet", str(work)], stdin=TABLE)
    for number, (offset, length) in enumerate(loops.partitions(work)):
        device = loops.attach(work, offset=offset, size=length, readonly=False)
        try:
            run(["mkfs.ext4", "-q", "-b", "4096", "-L", ("boot", "root")[number], device])
            place = work.with_suffix(f".mount{number}")
            place.mkdir()
            run(["mount", "-o", "user_xattr,acl", device, str(place)])
            if number == 1:
                fill(place)
                pull_the_plug(place, work, image)
            else:
                (place / "vmlinuz").write_bytes(b"a kernel\n" * 10_000)
            run(["umount", str(place)])
            place.rmdir()
        finally:
            run(["losetup", "--detach", device])
    work.unlink()


def fill(place: Path) -> None:
    """Real files, odd files, and a big one; everything in its place on the disk when this returns."""
    run(["tar", "-x", "-f", str(root_archive()), "-C", str(place), "--wildcards", "--xattrs", *REAL])
    hostile.make(place / "srv" / "odd")
    home = place / "home" / "ada"
    home.mkdir(parents=True)
    (home / "thesis.txt").write_text("".join(f"chapter {n // 100}, line {n}: what was found\n" for n in range(40_000)))
    os.chown(home, 1000, 1000)
    run(["sync"])


def pull_the_plug(place: Path, alive: Path, image: Path) -> None:
    """Commit a last change to the journal alone and keep the image as it is at that moment."""
    last = place / "home" / "ada" / "last-minute.txt"
    with last.open("w") as handle:
        handle.write("written, fsynced, then the lights went out\n")
        handle.flush()
        os.fsync(handle.fileno())
    run(["cp", "--sparse=always", str(alive), str(image)])
    image.chmod(0o400)


def store(image: Path, size: int = 512 * MIB) -> None:
    """Make IMAGE a clean, empty ext4 to keep an intake store on."""
    with image.open("wb") as handle:
        handle.truncate(size)
    run(["mkfs.ext4", "-q", "-b", "4096", "-F", "-L", "intake", str(image)])


def sha256(path: Path) -> str:
    return run(["sha256sum", "--binary", str(path)]).stdout.split()[0]
