# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set a fresh Debian machine up for ``make demo``, ``test``, ``bench`` or ``vm``: packages of the distribution, and .venv with pip's.

Runs with any Python 3.9 and nothing installed. A second run finds everything in place and asks neither apt nor pip.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache"
VENV = CHECKOUT / ".venv"
OLDEST = (3, 11)

# package: a command or file by which its presence is seen
DEMO = {
    "podman": "podman",
    "crun": "crun",
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-trixie-automatic.gpg",
    "openssh-client": "ssh",
    "iproute2": "ip",
    "util-linux": "losetup",
    "mount": "mount",
    "fdisk": "sfdisk",
    "e2fsprogs": "mkfs.ext4",
    "rsync": "rsync",
    "acl": "setfacl",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}
BENCH = {
    "mmdebstrap": "mmdebstrap",
    "debian-archive-keyring": DEMO["debian-archive-keyring"],
    "libzstd1": "/usr/lib/*/libzstd.so.1",
    "e2fsprogs": "mkfs.ext4",
    "time": "/usr/bin/time",
    "restic": "restic",
    "borgbackup": "borg",
    "casync": "casync",
}
TEST = {
    **DEMO,
    **BENCH,
    "git": "git",
    "attr": "getfattr",
    "chromium": "chromium",
    "shellcheck": "shellcheck",
    "squashfs-tools": "mksquashfs",
    "gcc": "cc",
    "openssl": "openssl",
    "libc6-dev": "/usr/include/stdio.h",
    "xfsprogs": "mkfs.xfs",
    "btrfs-progs": "mkfs.btrfs",
    "dosfstools": "mkfs.vfat",
    "nbdkit": "nbdkit",
    "libnbd-bin": "nbdfuse",
    "fuse3": "fusermount3",
    "sshfs": "sshfs",
    "openssh-sftp-server": "/usr/lib/openssh/sftp-server",
    "ceph-common": "ceph",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
    "gddrescue": "ddrescue",
    "procps": "pgrep",
    "clang": "clang",
    "libclang-rt-dev": "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a",
}
VM = {
    **TEST,
    "qemu-system-x86": "qemu-system-x86_64",
    "qemu-utils": "qemu-img",
    "squashfs-tools": "mksquashfs",
}
# What a purpose needs: packages, and a file of requirements for .venv.
PURPOSES = {
    "bench": (BENCH, "requirements-bench.txt"),
    "demo": (DEMO, "requirements-demo.txt"),
    "test": (TEST, "requirements.txt"),
    "vm": (VM, "requirements.txt"),
}


class SetupError(Exception):
    """The machine cannot be set up; one sentence."""


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def command(argv: list[str], **environment: str) -> None:
    log = CACHE / "setup.log"
    env = {**os.environ, **environment}
    with log.open("ab") as out:
        code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False).returncode
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise SetupError(f"{' '.join(argv[:4])} … ended with {code} (the whole of it: {log}):\n{tail}")


def present(probe: str) -> bool:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return bool(glob.glob(probe)) if probe.startswith("/") else shutil.which(probe, path=path) is not None


def install(packages: list[str]) -> None:
    """Install Debian PACKAGES that are not there."""
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise SetupError(f"install these yourself, this is no Debian machine: {' '.join(packages)}")
    if os.geteuid() != 0:
        raise SetupError(f"run it as root, or install these first: apt-get install {' '.join(packages)}")
    say(f"installing {' '.join(packages)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    command(["apt-get", "update", "-q"], **quiet)
    command(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], **quiet)


def usable(python: str) -> bool:
    """Whether PYTHON is recent enough to run ansible-core 2.19 and can make virtual environments."""
    probe = f"import sys, ensurepip, venv; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def choose_python() -> str:
    """The Python for .venv: the one this runs with where it will do, else one of the distribution's."""
    candidates = [os.environ.get("ASL_PYTHON", sys.executable), "/usr/bin/python3", "python3.13", "python3.12", "python3.11"]
    for candidate in candidates:
        if usable(candidate):
            return candidate
    install(["python3-venv"])
    if usable("/usr/bin/python3"):
        return "/usr/bin/python3"
    raise SetupError(f"no Python {OLDEST[0]}.{OLDEST[1]} or newer with its venv module was found; tried: {', '.join(candidates)}")


def environment(folder: Path, requirements: Path, python: str = "") -> Path:
    """A virtual environment FOLDER that has what REQUIREMENTS names; returns its Python.

    Its stamp (inside it, so that they go together) holds a digest of the requirements: an equal one costs nothing.
    """
    texts = [path.read_bytes() for path in sorted(requirements.parent.glob("requirements*.txt"))]
    stamp = folder / f"{requirements.stem}.stamp"
    wanted = hashlib.sha256(b"\0".join(texts)).hexdigest()
    inside = folder / "bin" / "python"
    if inside.exists() and stamp.exists() and stamp.read_text() == wanted:
        return inside
    if not inside.exists():
        python = python or choose_python()
        say(f"making {folder.name} with {python}")
        command([python, "-m", "venv", "--clear", str(folder)])
    say(f"installing {requirements.name} into {folder.name}")
    command([str(inside), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements)])
    stamp.write_text(wanted)
    return inside


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One set-up of this checkout at a time."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description="install what make demo, make test, make bench or make vm need")
    parser.add_argument("purpose", choices=PURPOSES)
    packages, requirements = PURPOSES[parser.parse_args().purpose]
    try:
        with alone():
            install([package for package, probe in packages.items() if not present(probe)])
            environment(VENV, CHECKOUT / "tests" / requirements)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
