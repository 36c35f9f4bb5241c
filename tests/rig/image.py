# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container image: Debian packages, put together by mmdebstrap, imported by podman. No image registry is asked for anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .places import cache, locked
from .podman import podman
from .process import RigError, run

PACKAGES = (
    "systemd,systemd-sysv,dbus,python3,openssh-server,iproute2,iputils-ping,e2fsprogs,util-linux,kmod,mount,fdisk,"
    "rsync,acl,attr,procps,gdisk,ca-certificates"
)
# Units that reach through a privileged container into the machine's own kernel.
MASKED = (
    "systemd-sysctl.service systemd-binfmt.service systemd-modules-load.service proc-sys-fs-binfmt_misc.automount "
    "sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount "
    "e2scrub_all.timer fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer"
)
HOOKS = (
    # host keys come from the rig, one for each container and run
    'rm -f "$1"/etc/ssh/ssh_host_*',
    "for unit in " + MASKED + '; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done',
    'printf "UseDNS no\\nPermitRootLogin prohibit-password\\n" > "$1/etc/ssh/sshd_config.d/rig.conf"',
    'mkdir -p -m 0700 "$1/root/.ssh"',
    ': > "$1/etc/machine-id"',
    'rm -f "$1"/var/cache/apt/archives/*.deb',
)


def recipe(suite: str) -> dict[str, object]:
    return {"version": 1, "suite": suite, "packages": PACKAGES, "hooks": HOOKS}


def name(suite: str) -> str:
    digest = hashlib.sha256(json.dumps(recipe(suite), sort_keys=True).encode()).hexdigest()
    return f"{suite}-{digest[:12]}"


def root_archive(suite: str = "trixie") -> Path:
    """The tar archive of the image's root, built when it is not in the cache."""
    target = cache("images", f"{name(suite)}.tar")
    with locked("image"):
        if not target.exists():
            build(suite, target)
    return target


def build(suite: str, target: Path) -> None:
    half = target.with_suffix(".part.tar")
    hooks = [f"--customize-hook={hook}" for hook in HOOKS]
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *hooks, suite, str(half), *mirror()]
    run(argv, timeout=1800)
    half.replace(target)


def mirror() -> list[str]:
    """The mirror this machine itself uses; none given, mmdebstrap takes its own default."""
    listing = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"], check=False)
    found = listing.stdout.split()
    return found[:1]


def ensure(suite: str = "trixie") -> str:
    """The image's name in podman's storage, there to be run."""
    image = f"localhost/asl-rig:{name(suite)}"
    archive = root_archive(suite)
    with locked("image"):
        if podman("image", "exists", image, check=False).returncode:
            podman("import", "--quiet", str(archive), image, timeout=600)
    if podman("image", "exists", image, check=False).returncode:
        raise RigError(f"podman does not show the image {image} that was just imported")
    return image
