# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has assembled before us: md arrays, LVM volumes, opened containers. Read from sysfs; nothing is assembled or stopped."""

from __future__ import annotations

from typing import Any, Optional

from asl import system

# Prefixes of a device-mapper UUID, which say who made it (libdevmapper's convention).
_MAKERS = (("LVM-", "lvm"), ("CRYPT-", "crypt"), ("mpath-", "multipath"), ("part", "partition"))
_STILL = (None, "idle", "frozen")


def assembly(device: Optional[system.BlockDevice], root: str = "/") -> Optional[dict[str, Any]]:
    """What DEVICE was assembled from: `kind` (md, lvm, crypt, multipath, dm), `name`, `members` (nodes), for md `level`, `state`,
    `sync` (None when nothing is being rebuilt) and `degraded` (missing members). None for a plain device."""
    if device is None or device.parent is not None:
        return None
    members = ["/dev/" + each.replace("!", "/") for each in device.slaves]
    folder = f"/sys/block/{device.name}"
    level = system.read_text(f"{folder}/md/level", root)
    if level is not None:
        sync = system.read_text(f"{folder}/md/sync_action", root)
        state = system.read_text(f"{folder}/md/array_state", root)
        degraded = system.read_text(f"{folder}/md/degraded", root) or "0"
        return {
            "kind": "md", "name": device.name, "members": members, "level": level, "state": state,
            "sync": None if sync in _STILL else sync, "degraded": int(degraded) if degraded.isdigit() else 0,
        }  # fmt: skip
    name = system.read_text(f"{folder}/dm/name", root)
    if name is None:
        return None
    uuid = system.read_text(f"{folder}/dm/uuid", root) or ""
    kind = next((maker for prefix, maker in _MAKERS if uuid.startswith(prefix)), "dm")
    return {"kind": kind, "name": name, "members": members}


def node(device: Optional[system.BlockDevice], path: str, found: Optional[dict[str, Any]]) -> str:
    """The name a person should use for it: that of a volume lasts, its number does not."""
    return f"/dev/mapper/{found['name']}" if device is not None and found is not None and found["kind"] != "md" else path


def unsafe(found: Optional[dict[str, Any]]) -> list[str]:
    """Sentences about what it does to its members right now."""
    if found is None or not found.get("sync"):
        return []
    return [f"is being rebuilt ({found['sync']}): its members are written right now"]


def words(found: dict[str, Any]) -> str:
    """For people: what it is and from what."""
    what = f"{found['level']} array ({found['state']})" if found["kind"] == "md" else f"{found['kind']} volume {found['name']}"
    missing = f", {found['degraded']} members missing" if found.get("degraded") else ""
    return f"{what} on {', '.join(found['members']) or 'nothing'}{missing}"
