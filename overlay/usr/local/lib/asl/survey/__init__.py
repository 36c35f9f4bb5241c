# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every disk, what is on it, and what could be taken. Reads superblocks itself: nothing is mounted, nothing written, and no tool is
run, unless its caller asks for what only tools know: the health of disks, the datasets of imported pools.

disk       a whole block device or an image file
volume     what a disk or partition holds: a file system, a member of something, swap, an encrypted container
source     what can be given to `asl-intake run`, such as fs:/dev/sda2
unsafe     sentences about who may be writing there right now
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Optional

from asl import system
from asl.deadline import Outcome, in_children
from asl.errors import Unavailable
from asl.survey import assembled, datasets, smart
from asl.survey.look import look
from asl.survey.use import Use
from asl.survey.zpools import pools_of

__all__ = ["survey"]

SECONDS = 30.0  # for each device: some seconds to spin up, some for a few retries of a sick disk
_SKIPPED = ("ram", "zram", "fd")  # RAM disks are empty, and a floppy drive without a disk answers after minutes


def survey(devices: Sequence[str] = (), *, seconds: float = SECONDS, root: str = "/", tools: bool = False) -> dict[str, Any]:
    """All disks, or only the devices and image files named. Gives ``disks`` and ``pools``.

    With TOOLS, smartctl is asked about disks, and zpool and zfs about pools that are imported.

    Each device is read in a process of its own: one that does not answer within ``seconds`` is listed with its ``error``, and the
    others are complete. Raises Unavailable (NO_DEVICE) for a name that does not exist.
    """
    known = system.block_devices(root)
    for path in devices:
        if not os.path.exists(path):
            raise Unavailable(f"{path} cannot be surveyed: there is no such device or file", reason="NO_DEVICE", device=path)
    wanted = [os.path.realpath(path) for path in devices] or [each.path for each in known if _is_disk(each, root)]
    jobs: dict[str, Callable[[], Any]] = {path: partial(look, path, _sector(path, known, root)) for path in dict.fromkeys(wanted)}
    outcomes = in_children(jobs, seconds)
    use = Use(system.mounts(root), known, root)
    health = _health(outcomes, use, seconds) if tools else {}
    names = datasets.names() if tools else {}
    disks = [{**_disk(path, outcome, use, root), "smart": health.get(path)} for path, outcome in outcomes.items()]
    pools = [{**pool.document(), "imported": datasets.datasets(pool, names)} for pool in pools_of(outcomes, use, root)]
    return {"disks": disks, "pools": pools}


def _health(outcomes: Mapping[str, Outcome], use: Use, seconds: float) -> dict[str, Any]:
    """What smartctl says of each disk that answered; the others are not bothered again."""
    asked = [path for path, outcome in outcomes.items() if not outcome.error and use.kind(use.device(path)) == "disk"]
    told = in_children({path: partial(smart.health, path, seconds) for path in asked}, seconds + 5)
    return {path: outcome.value or {"error": outcome.error} if outcome.error else outcome.value for path, outcome in told.items()}


def _is_disk(device: system.BlockDevice, root: str) -> bool:
    if device.parent is not None or device.size == 0 or device.name.rstrip("0123456789") in _SKIPPED:
        return False
    return os.path.exists(system.under(root, device.path))  # a container sees its host's disks in sysfs, without their nodes


def _sector(path: str, known: Sequence[system.BlockDevice], root: str) -> int:
    device = next((each for each in known if each.path == path), None)
    name = (device.parent or device.name) if device else ""
    text = system.read_text(f"/sys/block/{name}/queue/logical_block_size", root) if name else None
    return int(text) if text and text.isdigit() else 512


def _disk(path: str, outcome: Outcome, use: Use, root: str) -> dict[str, Any]:
    device = use.device(path)
    assembly = assembled.assembly(device, root)
    found: dict[str, Any] = outcome.value or {}
    table = found.get("table")
    here = use.of(device, path)
    partitions = [_partition(each, device, path, use) for each in found.get("partitions", ())]
    inside = [f"{each['device']} {why}" for each in partitions if each["device"] for why in each["unsafe"]]
    return {
        "device": path,
        "kind": use.kind(device),
        "model": device.model if device else None,
        "serial": device.serial if device else None,
        "wwn": device.wwn if device else None,
        "size": found.get("size", device.size if device else None),
        "read_only": device.read_only if device else not os.access(path, os.W_OK),
        "removable": device.removable if device else False,
        "rotational": device.rotational if device else None,
        "health": use.health(device),
        "assembly": assembly,
        "table": table,
        "volume": found.get("volume") if table is None else None,
        "partitions": partitions,
        **here,
        "unsafe": [*here["unsafe"], *assembled.unsafe(assembly), *inside],
        "read_errors": found.get("read_errors", []),
        "error": outcome.error,
        "sources": [] if outcome.error else sources(assembled.node(device, path, assembly), found.get("volume") if table is None else None),
    }


def _partition(found: dict[str, Any], disk: Optional[system.BlockDevice], path: str, use: Use) -> dict[str, Any]:
    """A partition of the table, with the node the kernel has for it (None where it has none: an image, or a table it did not read)."""
    device = use.partition(disk, found["start"])
    node = device.path if device else None
    seen = {key: value for key, value in found.items() if key != "labels"}  # they are told by ``pools``
    return {"device": node, **seen, **use.of(device, node or path), "sources": sources(node, found["volume"]) if node else []}


def sources(path: str, volume: Optional[dict[str, Any]]) -> list[str]:
    """What `asl-intake run` could take from here, the best first: files where there is a file system, and always every byte.

    A LUKS container is opened on request only, with a key that has to be there: that comes last."""
    readable = volume is not None and volume["usage"] in ("filesystem", "image")
    locked = volume is not None and volume.get("type") == "luks"
    return [*([f"fs:{path}"] if readable else []), f"device:{path}", *([f"fs:luks:{path}"] if locked else [])]
