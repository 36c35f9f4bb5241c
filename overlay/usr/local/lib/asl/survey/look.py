# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one device or image: its size, its partition table, what is on each volume. Runs in a process of its own; gives JSON values."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import asdict
from typing import Any, Optional

from asl.survey.labels import read_labels
from asl.survey.signature import Signature, signatures
from asl.survey.tables import read_table
from asl.survey.window import Window


def look(path: str, sector: int = 512) -> dict[str, Any]:
    """What is on the device or image at ``path``, read with O_RDONLY. Raises OSError when it cannot be opened.

    Gives ``size``, ``image``, ``table`` (kind, id, problems; or None), ``volume`` (the whole as a volume), ``partitions`` and
    ``read_errors``. A volume is the Signature that speaks for it, with ``filesystem_size`` for its size and ``also`` for the others.
    ``labels``, of the whole and of each partition, are the ZFS labels there (Label.document).
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
            raise OSError(0, "neither a block device nor an image file")
        # A crashed disk must not be read ahead where it hurts: we read a few small places only.
        with contextlib.suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
        disk = Window.of(handle, os.lseek(handle, 0, os.SEEK_END))
        whole = signatures(disk)
        table = None if _fills_first_sector(whole) else read_table(disk, sector)
        return {
            "size": disk.size,
            "image": stat.S_ISREG(mode),
            "table": None
            if table is None
            else {"type": table.kind, "id": table.identifier, "sector": table.sector, "problems": table.problems},
            "volume": volume(whole),
            "labels": _labels(disk),
            "partitions": [
                {**asdict(each), "volume": volume(signatures(part)), "labels": _labels(part)}
                for each in (table.partitions if table else [])
                for part in (disk.part(each.start, each.size),)
            ],
            "read_errors": disk.errors[:20],
        }
    finally:
        os.close(handle)


def _labels(window: Window) -> list[dict[str, Any]]:
    return [each.document() for each in read_labels(window.read, window.size)]


def _fills_first_sector(found: list[Signature]) -> bool:
    """Boot sectors of FAT and NTFS end like an MBR, and their code may look like entries."""
    return any(each.type in ("vfat", "exfat", "ntfs", "luks") for each in found)


def volume(found: list[Signature]) -> Optional[dict[str, Any]]:
    """The signature that speaks for a volume, and the types of the others (``also``)."""
    if not found:
        return None
    fields = asdict(found[0])
    fields["filesystem_size"] = fields.pop("size")
    return {**fields, "also": [each.type for each in found[1:]]}
