# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live medium: the root as a squashfs inside an ext4 image, with the kernel and the initrd that boot it.

live-boot finds `live/filesystem.squashfs` and lays an overlay in RAM over it. Further squashfs layers, named in
`live/filesystem.module`, lie over the first one, as a rescue medium that was customised has them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.places import cache, locked
from rig.process import RigError, output, run

from . import root

# What an initrd for this machine needs; the list that Debian makes for every machine takes a minute longer to boot under emulation.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "ext4", "squashfs", "overlay", "loop")
# As on rescue systems, nothing imports pools or mounts datasets by itself. Tests that want it unmask what they need.
MASKED = (
    "zfs-import-scan.service", "zfs-import-cache.service", "zfs-mount.service", "zfs-share.service", "zfs-volume-wait.service",
    "zfs-zed.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
)  # fmt: skip
NETWORK = "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
FILES = {
    "etc/hostname": "rescue\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 rescue\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/machine-id": "",
    "etc/fstab": "",
    "etc/systemd/network/10-eth0.network": NETWORK,
    "etc/ssh/sshd_config.d/live.conf": "UseDNS no\nPermitRootLogin prohibit-password\nMaxSessions 50\n",
    "etc/initramfs-tools/conf.d/live": "MODULES=list\n",
    "etc/initramfs-tools/modules": "\n".join(MODULES) + "\n",
}
GONE = ("etc/hostid", "etc/zfs/zpool.cache", "etc/ssh/ssh_host_*")
ENABLED = ("systemd-networkd.service", "ssh.service")
# What building the module needed and running it does not.
LEFT_OUT = (
    "usr/src", "var/lib/dkms", "usr/lib/gcc", "usr/libexec/gcc", "usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt",
    "var/lib/apt/lists",
)  # fmt: skip
# tool: the Debian package that has it
TOOLS = {
    "mmdebstrap": "mmdebstrap", "mksquashfs": "squashfs-tools", "mke2fs": "e2fsprogs", "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils", "ssh": "openssh-client",
}  # fmt: skip


def missing_tools() -> list[str]:
    """The packages of what is not installed that building and booting need."""
    return sorted(package for tool, package in TOOLS.items() if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None)


def need_tools() -> None:
    """Raise RigError when something is not installed that building and booting need."""
    missing = missing_tools()
    if missing:
        raise RigError(f"the live VM needs packages that are not installed; get them with: apt-get install {' '.join(missing)}")


@dataclass(frozen=True)
class Medium:
    """What qemu is given."""

    image: Path
    kernel: Path
    initrd: Path


def recipe(suite: str) -> dict[str, object]:
    return {
        "version": 1, "suite": suite, "root": root.recipe(suite), "modules": MODULES, "masked": MASKED, "files": FILES, "gone": GONE,
        "enabled": ENABLED, "left_out": LEFT_OUT,
    }  # fmt: skip


def cached(suite: str = "trixie") -> bool:
    """Whether the medium of SUITE can be booted here without installing anything or building its root."""
    if missing_tools():
        return False
    archive = cache("vm", f"{root.name(root.recipe(suite))}.tar")
    return archive.exists() or (archive.parent / root.name(recipe(suite)) / "filesystem.squashfs").exists()


def medium(suite: str = "trixie", layers: Sequence[Path] = ()) -> Medium:
    """The medium of a Debian SUITE with further squashfs LAYERS, the last one on top; what is not in the cache is built."""
    need_tools()
    folder = cache("vm", root.name(recipe(suite)), "filesystem.squashfs").parent
    with locked(f"vm-live-{suite}"):
        if not (folder / "filesystem.squashfs").exists():
            build(suite, folder)
        digests = [hashlib.sha256(layer.read_bytes()).hexdigest()[:12] for layer in layers]
        image = folder / ("-".join(["live", *digests]) + ".ext4")
        if not image.exists():
            if layers:
                forget_old_layers(folder)
            compose(folder / "filesystem.squashfs", layers, image)
    return Medium(image, folder / "vmlinuz", folder / "initrd")


def build(suite: str, folder: Path) -> None:
    """Unpack the root, make it a live system, and put squashfs, kernel and initrd into FOLDER; the squashfs last."""
    archive = root.archive(suite)
    with tempfile.TemporaryDirectory(prefix="vm-", dir=cache("vm", "x").parent) as scratch:
        tree = Path(scratch) / "root"
        tree.mkdir()
        run(["tar", "-x", "-p", "--numeric-owner", "-f", str(archive), "-C", str(tree)])
        customise(tree)
        for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
            shutil.copyfile(max((tree / "boot").glob(pattern)), folder / name)
        half = Path(scratch) / "filesystem.squashfs"
        left_out = [part for part in LEFT_OUT if (tree / part).exists()]
        run(["mksquashfs", str(tree), str(half), "-quiet", "-no-progress", "-comp", "lz4", "-e", *left_out])
        half.replace(folder / "filesystem.squashfs")


def customise(tree: Path) -> None:
    for pattern in GONE:
        for path in tree.glob(pattern):
            path.unlink()
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
    with inside(tree):
        run(["chroot", str(tree), "systemctl", "mask", *MASKED])
        run(["chroot", str(tree), "systemctl", "enable", *ENABLED])
        run(["chroot", str(tree), "update-initramfs", "-u", "-k", "all"])


@contextmanager
def inside(tree: Path) -> Iterator[None]:
    """What programs of TREE want to see while they run in it."""
    run(["mount", "-t", "proc", "proc", str(tree / "proc")])
    try:
        yield
    finally:
        run(["umount", str(tree / "proc")])


def compose(squashfs: Path, layers: Sequence[Path], image: Path) -> None:
    """An ext4 IMAGE with SQUASHFS and LAYERS in its folder live/."""
    with tempfile.TemporaryDirectory(prefix="vm-", dir=image.parent) as scratch:
        live = Path(scratch) / "live"
        live.mkdir()
        (live / squashfs.name).hardlink_to(squashfs)
        for layer in layers:
            shutil.copyfile(layer, live / layer.name)
        if layers:
            (live / "filesystem.module").write_text("".join(f"{name}\n" for name in [squashfs.name, *(layer.name for layer in layers)]))
        size = sum(path.stat().st_size for path in live.iterdir())
        half = image.with_suffix(".part")
        half.unlink(missing_ok=True)
        run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", scratch, str(half), f"{(size >> 20) * 21 // 20 + 16}M"])
        half.replace(image)


def forget_old_layers(folder: Path) -> None:
    """Remove media with layers that nobody made or booted for a day: every change of the overlay makes a new one, of 400 MB."""
    for image in folder.glob("live-*.ext4"):
        seen = image.stat()
        if max(seen.st_atime, seen.st_mtime) < time.time() - 86400:
            image.unlink()


def sizes(found: Medium) -> str:
    """For people: what the medium weighs."""
    return output(["du", "-h", "--apparent-size", str(found.image), str(found.kernel), str(found.initrd)])
