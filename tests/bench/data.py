# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data sets: made anew for each run, the same each time but for what the distribution changed in its packages.

    root      a Debian root, as mmdebstrap makes it: programs, libraries, documentation
    similar   the same root on a second machine: 2 % of the files are not there, 3 % were changed in a few bytes, some are new
    image     a disk image: the root in an ext4, deleted data that does not compress, free space
    small     very many files of 0 to 8 KiB in 200 directories
    noise     two files that do not compress
"""

from __future__ import annotations

import random
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from rig import image
from rig.places import cache, locked
from rig.process import run

SUITE = "trixie"
PACKAGES = "openssh-server,python3,git,vim,nginx,man-db,postgresql"
MIB = 1 << 20
WORDS = 4096
FOLDERS = 200


@dataclass(frozen=True)
class Sizes:
    """How much of everything. `parts` are the folders of the root that are taken; () is all of it. Sizes in MiB."""

    parts: tuple[str, ...]
    image: int
    deleted: int
    small: int
    noise: int


FULL = Sizes((), 1280, 384, 200_000, 512)
QUICK = Sizes(("./etc", "./usr/share", "./usr/bin"), 512, 96, 10_000, 128)


def archive() -> Path:
    """The root as a tar archive, built when it is not in the cache."""
    target = cache("bench", f"{SUITE}-1.tar")
    with locked("bench"):
        if not target.exists():
            half = target.with_suffix(".part.tar")
            run(["mmdebstrap", "--quiet", "--variant=important", f"--include={PACKAGES}", SUITE, str(half), *image.mirror()], timeout=1800)
            half.replace(target)
    return target


def make(folder: Path, sizes: Sizes, root: Path) -> dict[str, Path]:
    """Every data set below FOLDER, by its name. ROOT: a tar archive of the root."""
    made = {name: folder / name for name in ("root", "similar", "image", "small", "noise")}
    made["root"].mkdir()
    run(["tar", "-xpf", str(root), "-C", str(made["root"]), "--exclude=./dev/*", *sizes.parts])
    shutil.copytree(made["root"], made["similar"], symlinks=True, copy_function=_copy)
    change(made["similar"])
    disk(made["image"], made["root"], sizes)
    small(made["small"], sizes.small)
    made["noise"].mkdir()
    for number in range(2):
        _noise(made["noise"] / f"{number}.bin", sizes.noise // 2, seed=10 + number)
    return made


def _copy(source: str, target: str) -> str:
    """One name; pipes and sockets are left out."""
    if stat.S_ISREG(Path(source).lstat().st_mode) or Path(source).is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)
    return target


def change(root: Path) -> None:
    """Make ROOT that of another machine."""
    rng = random.Random(3)
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files:
        fate = rng.random()
        if fate < 0.02:
            path.unlink()
        elif fate < 0.05:
            data = path.read_bytes()
            at = rng.randrange(len(data) + 1)
            path.write_bytes(data[:at] + rng.randbytes(40) + data[at:])
    (root / "new").mkdir()
    for number in range(min(100, len(files) // 20 + 1)):
        (root / "new" / f"{number}.txt").write_bytes(prose(rng, 64 * 1024))


def difference(root: Path, similar: Path) -> int:
    """Bytes of the files of SIMILAR that are not in ROOT as they are."""
    total = 0
    for path in similar.rglob("*"):
        if path.is_file() and not path.is_symlink():
            other = root / path.relative_to(similar)
            if not other.is_file() or other.stat().st_size != path.stat().st_size or other.read_bytes() != path.read_bytes():
                total += path.stat().st_size
    return total


def disk(path: Path, root: Path, sizes: Sizes) -> None:
    """A disk image at PATH, every byte of which is allocated."""
    run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-d", str(root), str(path), f"{sizes.image}M"])
    # What was deleted once lies at the end of the disk: an ext4 fills itself from the front.
    with path.open("r+b") as file:
        file.seek((sizes.image - sizes.deleted - 32) * MIB)
        rng = random.Random(4)
        for _ in range(sizes.deleted):
            file.write(rng.randbytes(MIB))
    run(["fallocate", "--length", f"{sizes.image}M", str(path)])


def small(folder: Path, count: int) -> None:
    """COUNT small files of text in 200 directories."""
    rng = random.Random(5)
    store = prose(rng, 1 << 20)
    for number in range(FOLDERS):
        (folder / f"{number:03d}").mkdir(parents=True)
    for number in range(count):
        length = min(8192, int(rng.lognormvariate(6.9, 1.0)))
        at = rng.randrange(len(store) - length)
        (folder / f"{number % FOLDERS:03d}" / f"{number:06d}").write_bytes(b"%d\n" % number + store[at : at + length])


def prose(rng: random.Random, length: int) -> bytes:
    """LENGTH bytes that shrink to about a third."""
    words = [b"%x " % rng.getrandbits(24) for _ in range(WORDS)]
    return b"".join(words[min(WORDS - 1, int(rng.expovariate(1 / 400)))] for _ in range(length // 4))[:length]


def _noise(path: Path, mib: int, seed: int) -> None:
    rng = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(rng.randbytes(MIB))
