# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root of the live system: Debian packages put together by mmdebstrap, the ZFS module built for its kernel on the way.

The build takes about a quarter of an hour on two cores, nearly all of it compiling the module; so the archive is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from rig.image import mirror
from rig.places import cache, locked
from rig.process import run

SUITES = ("trixie", "bookworm")
PACKAGES = (
    "linux-image-amd64,linux-headers-amd64,zfs-dkms,zfsutils-linux,python3-pyzfs,live-boot,systemd,systemd-sysv,dbus,udev,"
    "openssh-server,python3,iproute2,procps,kmod,util-linux,mount,fdisk,strace,acl,attr,rsync,ca-certificates,"
    "gddrescue,e2fsprogs,xfsprogs,btrfs-progs,dosfstools,mdadm,lvm2,dmsetup,cryptsetup-bin,smartmontools"
)


def recipe(suite: str) -> dict[str, object]:
    return {"version": 1, "suite": suite, "packages": PACKAGES}


def name(document: dict[str, object]) -> str:
    """A file name for what DOCUMENT, a recipe, describes."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return f"{document['suite']}-{digest[:12]}"


def archive(suite: str = "trixie") -> Path:
    """The tar archive of the root, built when it is not in the cache."""
    target = cache("vm", f"{name(recipe(suite))}.tar")
    with locked(f"vm-root-{suite}"):
        if not target.exists():
            build(suite, target)
    return target


def build(suite: str, target: Path) -> None:
    half = target.with_suffix(".part.tar")
    argv = [
        "mmdebstrap", "--quiet", "--variant=minbase", "--components=main,contrib", f"--include={PACKAGES}",
        '--customize-hook=rm -f "$1"/var/cache/apt/archives/*.deb', suite, str(half), *mirror(),
    ]  # fmt: skip
    run(["nice", *argv], timeout=7200)
    half.replace(target)
