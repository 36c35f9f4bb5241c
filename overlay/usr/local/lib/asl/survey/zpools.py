# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ZFS pools among the devices that were looked at."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from asl import system
from asl.deadline import Outcome
from asl.survey.assembly import assemble
from asl.survey.labels import Label
from asl.survey.pools import Pool
from asl.survey.use import Use

_HOSTID = struct.Struct("<I" if sys.byteorder == "little" else ">I")


def pools_of(outcomes: Mapping[str, Outcome], use: Use, root: str = "/") -> list[Pool]:
    """The pools of the devices, by path, that look() looked at. A partition that has no node is named by disk and number."""
    found: dict[str, list[Label]] = {}
    holders: dict[str, Sequence[str]] = {}

    def add(path: str, device: Optional[system.BlockDevice], documents: Sequence[Mapping[str, Any]]) -> None:
        if documents:
            found[path] = [Label.from_document(each) for each in documents]
            users = use.of(device, path)
            holders[path] = [*users["held_by"], *users["mounted"]]

    for path, outcome in outcomes.items():
        disk = use.device(path)
        looked: Mapping[str, Any] = outcome.value or {}
        add(path, disk, looked.get("labels", ()))
        for each in looked.get("partitions", ()):
            node = use.partition(disk, each["start"])
            add(node.path if node else f"{path} partition {each['number']}", node, each.get("labels", ()))
    return assemble(found, hostid=hostid(root), holders=holders)


def hostid(root: str = "/") -> int:
    """This machine's hostid as ZFS sees it: the parameter of its module, else /etc/hostid, else 0, which is none."""
    parameter = system.read_text("/sys/module/spl/parameters/spl_hostid", root)
    if parameter and parameter.isdigit() and int(parameter):
        return int(parameter) & 0xFFFFFFFF
    file = system.read_bytes("/etc/hostid", root) or b""
    return int(_HOSTID.unpack_from(file)[0]) if len(file) >= _HOSTID.size else 0
