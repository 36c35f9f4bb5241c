# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`fs:luks:/dev/sda3`: the files of a file system inside a LUKS container, which is opened read-only for that time.

Nobody but the operator asks for it, and the key never stands on a command line: it lies in a file below /run/asl/keys, which is
RAM, under the UUID of the container or the name of its device. The device is set read-only first, for LUKS2 repairs a damaged copy
of its header when it is opened (cryptsetup(8)).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Optional

from asl import paths, system
from asl.errors import Refused, Unavailable, Usage
from asl.sources.base import why
from asl.sources.fs import FilesystemSource
from asl.sources.guard import DEADLINE, Guard
from asl.survey import members
from asl.survey.window import Window

# Deriving a key is slow on purpose, and slower still in an emulated machine.
OPEN_DEADLINE = 300.0
_RAM = ("tmpfs", "ramfs")


class LuksSource(FilesystemSource):
    """The tree of a filesystem in a container that this source opens and closes itself."""

    def __init__(self, spec: str, path: str, exclude: Sequence[str] = ()) -> None:
        super().__init__(spec, path, exclude)
        # The mount point ends in a checksum of the device: the same for the next run, which closes what this one has left.
        self._mapping = f"asl-{os.path.basename(self.mount_point)}"

    def _device(self, guard: Guard) -> str:
        outer = super()._device(guard)
        uuid = container(outer, self.spec)
        key = key_file(self.spec, uuid, os.path.basename(self.device))
        argv = ["cryptsetup", "open", "--type", "luks", "--readonly", "--key-file", key, outer, self._mapping]
        done = system.run(argv, OPEN_DEADLINE)
        if done.rc == 2:  # cryptsetup(8): no permission (bad passphrase)
            raise Refused(f"{self.spec}: the key in {key} does not open it", reason="LUKS_KEY_WRONG", hint="put the right key there")
        done.check(f"{self.spec} cannot be opened", hint=f"device:{self.device} reads it as it is, encrypted")
        self._details["luks"] = uuid or "yes"
        return self._opened

    @property
    def _opened(self) -> str:
        return f"/dev/mapper/{self._mapping}"

    def _unmount(self) -> bool:
        """Unmount, then close the container."""
        if not super()._unmount():
            return False
        if os.path.exists(self._opened) and system.run(["cryptsetup", "close", self._mapping], DEADLINE).rc != 0:
            self.notes.append(f"{self._opened} could not be closed; the next run tries again")
            return False
        return True


def container(device: str, spec: str) -> Optional[str]:
    """The UUID of the LUKS container on DEVICE. Raises Usage where there is none."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = members.luks(Window.of(fd, os.lseek(fd, 0, os.SEEK_END)))
    finally:
        os.close(fd)
    if found is None:
        hint = f"fs:{spec[len('fs:luks:') :]} mounts what is there"
        raise Usage(f"{spec} holds no LUKS container", reason="NOT_LUKS", hint=hint)
    return found.uuid


def key_file(spec: str, *names: Optional[str]) -> str:
    """The first of NAMES that is a file below /run/asl/keys. Raises Unavailable where none is, Refused where others could read it, or
    where it would outlast the machine's power."""
    folder = paths.run("keys")
    found = next((path for path in (os.path.join(folder, name) for name in names if name) if os.path.lexists(path)), None)
    if found is None:
        wanted = " or ".join(os.path.join(folder, name) for name in names if name)
        raise Unavailable(f"{spec}: there is no key for it", reason="LUKS_KEY_MISSING", hint=f"put it into {wanted}, mode 0600")
    try:
        status = os.lstat(found)
    except OSError as error:
        raise Unavailable(f"{found} cannot be looked at: {why(error)}", reason="LUKS_KEY_MISSING") from error
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.geteuid():
        hint = f"chown root: {found} && chmod 600 {found}"
        raise Refused(f"{found} is not a file that only root can read", reason="LUKS_KEY_UNSAFE", hint=hint)
    mount = system.mount_at(os.path.realpath(found), system.mounts())
    if mount is None or mount.fstype not in _RAM:
        raise Refused(f"{found} lies on a disk, where a key must not be", reason="LUKS_KEY_UNSAFE", hint="put it on a tmpfs")
    return found
