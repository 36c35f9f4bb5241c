# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a volume: every signature that is there, each read from its own superblock. Nothing is run, nothing is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from asl.survey.window import Window

# Which one speaks for a volume that has several: what lies below a file system hides what lies in it (an md 1.0 member begins
# with the file system of the array; a LUKS header with nothing at all).
PRIORITY = ("encrypted", "member", "swap", "filesystem", "image")


@dataclass(frozen=True)
class Signature:
    """One superblock. ``usage`` is filesystem, member (of md, LVM, ZFS), encrypted, swap or image.

    ``dirty`` is None where the format does not say or could not be read; ``journal`` is what a mount would have to replay: the
    data in it is not seen when the volume is read without replaying. ``size`` is bytes as the superblock has them.
    """

    type: str
    usage: str
    label: Optional[str] = None
    uuid: Optional[str] = None
    size: Optional[int] = None
    dirty: Optional[bool] = None
    journal: Optional[bool] = None
    notes: tuple[str, ...] = field(default=())


def signatures(volume: Window) -> list[Signature]:
    """All signatures, the one that speaks for the volume first."""
    from asl.survey import filesystems, members

    found = [parse(volume) for parse in (*members.PARSERS, *filesystems.PARSERS)]
    return sorted((each for each in found if each is not None), key=lambda each: PRIORITY.index(each.usage))


def text(data: bytes, encoding: str = "utf-8") -> Optional[str]:
    """A fixed field as text, up to its first zero, without padding; None when it is empty."""
    decoded = data.decode(encoding, "replace").split("\0")[0].strip()
    return decoded or None
