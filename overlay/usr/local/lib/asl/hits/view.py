# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk in a snapshot as a file and as block devices, for this process alone.

All of it is mounted in a mount namespace of its own: whatever kills the process takes the mounts along, and a loop device that is
asked to go when nobody uses it goes as well. Needs root, FUSE and loop devices; needs no room, since nothing is copied.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator

from asl import paths, system
from asl.errors import Unavailable
from asl.hits import fuse

DEADLINE = 60.0
# linux/sched.h, linux/mount.h, linux/prctl.h
_CLONE_NEWNS = 0x20000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REC, _PRIVATE = 1, 2, 4, 8, 16384, 1 << 18
_PDEATHSIG = 1
_HINT = "write the disk into a file (asl-admin restore --file) and name that with --image"


def alone() -> None:
    """Give this process a mount namespace of its own, and an empty /run/asl in it. Raises Unavailable."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _check(libc.unshare(_CLONE_NEWNS))
        mount("none", "/", "none", _REC | _PRIVATE, "")
        os.makedirs(paths.run(), exist_ok=True)
        mount("tmpfs", paths.run(), "tmpfs", _NOSUID | _NODEV, "mode=0700")
    except OSError as error:
        what = f"file systems cannot be mounted where only this process sees them: {error.strerror}"
        raise Unavailable(what, reason="PERMISSION", hint="run this as root, outside of containers") from error


def mount(what: str, where: str, kind: str, flags: int, options: str) -> None:
    """mount(2). Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(each) for each in (what, where, kind)]
    _check(libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def as_file(size: int, fetch: fuse.Fetch) -> Iterator[str]:
    """The path of a file of SIZE bytes, which FETCH gives (see fuse.Server). Call alone() first. Raises Unavailable."""
    path = paths.run("disk")
    with open(path, "wb"):
        pass
    try:
        fd = os.open(fuse.DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        what = f"the disk cannot be shown to the kernel: {fuse.DEVICE}: {error.strerror}"
        raise Unavailable(what, reason="NO_FUSE", hint=_HINT) from error
    pid = 0
    try:
        mount("asl", path, "fuse", _RDONLY | _NOSUID | _NODEV | _NOEXEC, f"fd={fd},rootmode=100400,user_id=0,group_id=0")
        pid = _server(fd, fuse.Server(size, fetch))
    except OSError as error:
        raise Unavailable(f"the disk cannot be shown to the kernel: {error.strerror}", reason="NO_FUSE", hint=_HINT) from error
    finally:
        os.close(fd)  # when the server ends, whoever reads gets an error and does not wait
    try:
        yield path
    finally:
        system.run(["umount", "--lazy", path], DEADLINE)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _server(fd: int, server: fuse.Server) -> int:
    """Start the process of SERVER; it ends with this one."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            if os.getppid() == parent:
                server.serve(fd)
        finally:
            os._exit(0)
    return pid


@contextlib.contextmanager
def as_device(path: str, start: int, size: int) -> Iterator[str]:
    """A read-only loop device over SIZE bytes from START on of the file PATH, gone when it is closed here. Raises Unavailable."""
    argv = ["losetup", "--read-only", "--find", "--show", "--offset", str(start), "--sizelimit", str(size)]
    # Without direct I/O whole pages are read, and what is missing fails its neighbours: where that cannot be, so be it.
    done = system.run([*argv, "--direct-io=on", path], DEADLINE)
    if done.rc != 0:
        done = system.run([*argv, path], DEADLINE).check("the disk cannot be made a loop device", hint=_HINT)
    device = done.stdout.decode().strip()
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        system.run(["losetup", "--detach", device], DEADLINE)  # behind the last who has it open
        yield device
    finally:
        os.close(fd)
