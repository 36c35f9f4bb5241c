# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene that the demo and Molecule play in: crashed machines, each with a broken disk and an empty store beside it.

Every host sees the same crashed disk, read-only: once as the whole disk and once as its large partition. Each has a store of its own,
mounted at /mnt/asl/local as an operator would have done it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import disks, loops
from .hosts import Rig
from .places import CHECKOUT
from .process import run

ADMIN = CHECKOUT / "overlay" / "usr" / "local" / "bin" / "asl-admin"
STORE = "/mnt/asl/local"


@dataclass(frozen=True)
class Scene:
    """DISK and PARTITION are the read-only devices of the crashed image."""

    rig: Rig
    image: Path
    disk: str
    partition: str

    def sources(self) -> list[str]:
        return [f"fs:{self.partition}", f"device:{self.disk}"]


def build(rig: Rig, names: Sequence[str], bandwidth: str = "0") -> Scene:
    """Boot hosts NAMES of RIG with their disks; call inside the rig's namespace. What an earlier run left goes first.

    BANDWIDTH bounds how fast their intakes read (intake.bandwidth), so that one can be stopped half way.
    """
    rig.prepare()
    image = rig.folder / "crashed.img"
    disks.crashed(image)
    offset, size = loops.partitions(image)[1]
    scene = Scene(rig, image, loops.attach(image), loops.attach(image, offset=offset, size=size))
    for name in names:
        store = rig.folder / f"{name}.store.img"
        disks.store(store)
        device = loops.attach(store, readonly=False)
        prepare_store(rig, device)
        rig.up(name, [scene.disk, scene.partition, device])
        rig.ssh(name, f"mkdir -p {STORE} && mount {device} {STORE}")
    conf = {"mode": "auto", "local.mount": STORE, "domain.id": "demo", "intake.bandwidth": bandwidth}
    rig.set_variables({"asl_sources": scene.sources(), "asl_conf": conf})
    facts = {"image": str(image), "sha256": disks.sha256(image), "partition": scene.partition, "sources": scene.sources()}
    (rig.folder / "scene.json").write_text(json.dumps(facts))
    return scene


def prepare_store(rig: Rig, device: str) -> None:
    """Make an empty store on the filesystem of DEVICE, with the tools of this checkout."""
    place = rig.folder / "mount"
    place.mkdir(exist_ok=True)
    run(["mount", device, str(place)])
    try:
        run([str(ADMIN), "init", str(place)])
    finally:
        run(["umount", str(place)])
