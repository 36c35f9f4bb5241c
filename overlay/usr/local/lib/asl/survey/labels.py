# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that say which ZFS pool a device belongs to, read without ZFS.

Four copies of 256 KiB: at 0, at 256 KiB, and the last two of the device's size rounded down to 256 KiB. In each of them

      0   16 KiB  empty, and what a boot loader keeps      16  112 KiB  the configuration: a name-value list, its checksum at the end
    128  128 KiB  ring of uberblocks

Labels 0 and 1 are lost when the beginning of a disk is overwritten, 2 and 3 when it is cut or copied to one of another size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

from asl.errors import Damaged
from asl.survey import nvlist, uberblock
from asl.survey.uberblock import Uberblock

LABEL = 256 << 10
COUNT = 4
CONFIG_AT, CONFIG_SIZE = 16 << 10, 112 << 10
RING_AT = 128 << 10
SMALLEST = COUNT * LABEL

Fetch = Callable[[int, int], bytes]  # (offset, length) -> bytes; fewer at the end; raises OSError


@dataclass(frozen=True)
class Label:
    """One copy. ``config`` is its name-value list (see nvlist.decode), kept even when its checksum is wrong: ``valid`` is then False.

    ``problem`` says what is wrong with the configuration. ``uberblock`` is the best one of the ring, ``uberblocks`` how many are valid.
    """

    index: int
    offset: int
    valid: bool
    config: Optional[dict[str, Any]] = None
    problem: Optional[str] = None
    uberblock: Optional[Uberblock] = None
    uberblocks: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON can hold it; from_document makes it a Label again."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Label:
        """A label that came through JSON."""
        newest = document["uberblock"]
        return cls(**{**document, "uberblock": None if newest is None else Uberblock(**newest)})


def offsets(size: int) -> list[int]:
    """Where the labels of a device of ``size`` bytes are; nowhere when it is too small to hold them."""
    end = size // LABEL * LABEL
    return [0, LABEL, end - 2 * LABEL, end - LABEL] if end >= SMALLEST else []


def read_labels(source: Union[int, Fetch], size: int) -> list[Label]:
    """The labels of an open file or device (or of whatever a function reads) of ``size`` bytes, that show any trace of ZFS.

    So an empty list means: no pool here. An area that cannot be read is a Label with that ``problem``. Raises nothing.
    """
    fetch = source if callable(source) else _reader(source)
    found = [_read(fetch, index, offset) for index, offset in enumerate(offsets(size))]
    labels = [each for each in found if each is not None]
    # Read errors alone are no trace of ZFS.
    return labels if any(each.config is not None or each.uberblock is not None for each in labels) else []


def _reader(handle: int) -> Fetch:
    return lambda offset, length: os.pread(handle, length, offset)


def _read(fetch: Fetch, index: int, offset: int) -> Optional[Label]:
    try:
        config_area = fetch(offset + CONFIG_AT, CONFIG_SIZE)
        ring = fetch(offset + RING_AT, uberblock.RING)
    except OSError as error:
        return Label(index, offset, False, problem=f"cannot be read: {(error.strerror or str(error)).lower()}")
    valid = uberblock.checksum_order(config_area, offset + CONFIG_AT) is not None
    config, problem = _config(config_area, valid)
    blocks = uberblock.read_ring(ring, offset + RING_AT)
    if config is None and not blocks and not valid:
        return None
    return Label(index, offset, valid and config is not None, config, problem, uberblock.best(blocks), len(blocks))


def _config(area: bytes, valid: bool) -> tuple[Optional[dict[str, Any]], Optional[str]]:
    """The configuration and what is wrong with it. Bytes that merely happen to decode are no configuration: it has to name a vdev."""
    try:
        config = nvlist.decode(area)
    except Damaged as error:
        return None, error.message
    if not isinstance(config.get("guid"), int) and not isinstance(config.get("pool_guid"), int):
        return None, "the name-value list names neither a pool nor a device"
    return config, None if valid else "its checksum is wrong"


def newest(labels: Sequence[Label]) -> Optional[Uberblock]:
    """The best uberblock of one device."""
    return uberblock.best([each.uberblock for each in labels])
