# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zpool, zfs, mount, umount, systemctl and modprobe for where no ZFS can be: what they print is what OpenZFS 2.3.9 printed.

    zpool.py STATE ROOT TOOL ARGUMENT…

What is imported is kept in the JSON file STATE, and shown below ROOT as the kernel does. ``fail`` in it gives, for "TOOL VERB", the
words and the status; ``spoil`` changes what an import makes (readonly, altroot, flip, hang).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

STATE, ROOT = Path(sys.argv[1]), Path(sys.argv[2])
ARGV = sys.argv[3:]


def value(flag: str) -> str:
    return ARGV[ARGV.index(flag) + 1] if flag in ARGV else "-"


def zpool_import(state: dict[str, Any]) -> None:
    spoil = state.get("spoil", {})
    if spoil.get("hang"):
        sys.stdin.close()
        os.read(os.open(ROOT / "never", os.O_RDWR), 1)  # a FIFO nobody writes to
    if spoil.get("nothing"):
        return
    temporary = "-t" in ARGV
    guid = ARGV[-2] if temporary else ARGV[-1]
    name = ARGV[-1] if temporary else state["names"][guid]
    read_only = "on" if "readonly=on" in ARGV else "off"
    pool = {"guid": guid, "readonly": read_only, "altroot": value("-R"), "health": "ONLINE"}
    state["pools"][name] = {**pool, **spoil.get("properties", {})}
    if "flip" in spoil:
        with open(spoil["flip"], "r+b") as file:
            file.seek(200 << 10)
            file.write(b"somebody was here")
    kstat = ROOT / "proc/spl/kstat/zfs" / name
    kstat.mkdir(parents=True)
    (kstat / "guid").write_text(f"{guid}\n")


def zpool_export(state: dict[str, Any]) -> None:
    del state["pools"][ARGV[2]]
    shutil.rmtree(ROOT / "proc/spl/kstat/zfs" / ARGV[2])


def zpool_get(state: dict[str, Any]) -> None:
    for name, pool in state["pools"].items():
        for key in ("guid", "readonly", "altroot", "health"):
            print(f"{name}\t{key}\t{pool[key]}")


def zfs_get(state: dict[str, Any]) -> None:
    found = state["datasets"].get(ARGV[-1])
    if found is None:
        sys.exit(f"cannot open '{ARGV[-1]}': dataset does not exist")
    print("2147483648" if "available" in ARGV else found)


def zfs_create(state: dict[str, Any]) -> None:
    state["datasets"][ARGV[-1]] = next(word[11:] for word in ARGV if word.startswith("mountpoint="))


def modprobe(state: dict[str, Any]) -> None:
    (ROOT / "sys/module/zfs/parameters").mkdir(parents=True, exist_ok=True)
    (ROOT / "sys/module/zfs/version").write_text("2.3.9-1\n")


def systemctl(state: dict[str, Any]) -> None:
    for unit in ARGV[3:]:
        place = ROOT / "run/systemd/system" / unit
        place.symlink_to("/dev/null")


def main() -> None:
    state = json.loads(STATE.read_text())
    state["calls"].append(ARGV)
    STATE.write_text(json.dumps(state))
    verb = " ".join(ARGV[:2])
    if verb in state.get("fail", {}):
        words, status = state["fail"][verb]
        print(words, file=sys.stderr)
        sys.exit(status)
    actions = {
        "zpool import": zpool_import, "zpool export": zpool_export, "zpool get": zpool_get, "zfs get": zfs_get, "zfs create": zfs_create,
    }  # fmt: skip
    action = actions.get(verb) or {"modprobe": modprobe, "systemctl": systemctl}.get(ARGV[0])
    if action is not None:
        action(state)
    STATE.write_text(json.dumps(state))


main()
