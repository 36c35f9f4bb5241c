# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay as a squashfs layer, laid by the engine itself into an empty folder, with its units enabled: what a rescue medium that was
customised carries."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

from rig.places import CHECKOUT
from rig.process import run

UNITS = ("asl-preflight.service", "asl-intake.service")
LAY = [sys.executable, "-B", "-m", "asl.overlay"]


def make(scratch: Path) -> Path:
    """The layer, in the folder SCRATCH. Equal files give an equal layer, so that the medium it is put into is cached."""
    bundle, unpacked, tree = scratch / "bundle.tar.gz", scratch / "bundle", scratch / "tree"
    tree.mkdir()
    engine = {"PYTHONPATH": str(CHECKOUT / "overlay" / "usr" / "local" / "lib")}
    run([*LAY, "pack", str(CHECKOUT / "overlay"), str(CHECKOUT / "native" / "build"), str(bundle)], env=engine)
    with tarfile.open(bundle) as archive:
        archive.extractall(unpacked)
    run([*LAY, "lay", "--root", str(tree), "--bundle", str(unpacked), "--no-services", "--allow-non-live-root"], env=engine)
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in UNITS:
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")
    layer = scratch / "asl.squashfs"
    run(["mksquashfs", str(tree), str(layer), "-quiet", "-no-progress", "-comp", "lz4", "-all-root", "-all-time", "0", "-mkfs-time", "0"])
    shutil.rmtree(tree)
    return layer
