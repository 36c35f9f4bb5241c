# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk in a snapshot as a file and as block devices, for this process alone.

All of it is mounted in a mount namespace of its own: whatever kills the process takes the mounts along, and a loop device that is
asked to go when nobody uses it goes as well. Needs root, FUSE and loop devices; needs no room, since nothing is copied.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
from collections.abc import Iterator
from typing import Optional

from asl import paths, system
from asl.errors import AslError, Unavailable
from asl.hits import fuse

DEADLINE = 60.0
# linux/sched.h, linux/mount.h, linux/prctl.h
_CLONE_NEWNS = 0x20000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REC, _PRIVATE = 1, 2, 4, 8, 16384, 1 << 18
_PDEATHSIG = 1
_HINT = "write the disk into a file (asl-admin restore --file) and name that with --image"


def alone() -> None:
    """Give this process a mount namespace of its own, and an empty /run/asl/mnt in it. Raises Unavailable.

    What else is in /run/asl stays in sight: keys, and a store that is mounted there."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _check(libc.unshare(_CLONE_NEWNS))
        mount("none", "/", "none", _REC | _PRIVATE, "")
        os.makedirs(paths.run("mnt"), exist_ok=True)
        mount("tmpfs", paths.run("mnt"), "tmpfs", _NOSUID | _NODEV, "mode=0700")
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
    path = paths.run("mnt", "disk")
    with open(path, "wb"):
        pass
    try:
        fd = os.open(fuse.DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        what = f"the disk cannot be shown to the kernel: {fuse.DEVICE}: {error.strerror}"
        raise Unavailable(what, reason="NO_FUSE", hint=_HINT) from error
    try:
        mount("asl", path, "fuse", _RDONLY | _NOSUID | _NODEV | _NOEXEC, f"fd={fd},rootmode=100400,user_id=0,group_id=0")
        process = _Process(fd, fuse.Server(size, fetch))
    except OSError as error:
        raise Unavailable(f"the disk cannot be shown to the kernel: {error.strerror}", reason="NO_FUSE", hint=_HINT) from error
    finally:
        os.close(fd)  # when the server ends, whoever reads gets an error and does not wait
    try:
        yield path
    except (AslError, OSError) as error:
        process.check(path, error)
        raise
    else:
        process.check(path)
    finally:
        system.run(["umount", "--lazy", path], DEADLINE)
        process.stop()


class _Process:
    """The process of SERVER, which answers on FD; it ends with this one."""

    def __init__(self, fd: int, server: fuse.Server) -> None:
        parent = os.getpid()
        self._said, said = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)
                if os.getppid() == parent:
                    server.serve(fd)
            except Exception as error:
                os.write(said, f"{error}".encode("utf-8", "replace")[:4000])
            finally:
                os._exit(0)
        os.close(said)

    def check(self, path: str, cause: Optional[Exception] = None) -> None:
        """Raise Unavailable where it has ended: then what was seen at PATH is not the disk, and CAUSE comes of it."""
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # never from a cache
            return
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.ECONNABORTED):
                return
        _pid, status = os.waitpid(self._pid, 0)
        self._pid = 0
        signalled = f"it was ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "it said nothing"
        why = os.read(self._said, 4000).decode("utf-8", "replace") or signalled
        what = f"the process that shows the disk to the kernel has ended: {why}"
        raise Unavailable(what, reason="HITS_FAILED", hint="what is rescued is as it was: run it again") from cause

    def stop(self) -> None:
        """End it."""
        os.close(self._said)
        if self._pid:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)


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
