# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a file system hold what a posix store relies on? Network mounts (NFS, SSHFS) and odd file systems may not.

Tried with real files in a folder of its own, which is gone afterwards: exclusive create, link(2) that does not replace, rename(2)
that does, fsync of a file and of a folder, flock between two opens, and bytes that read back as they were written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from asl.backends.posix import failure
from asl.errors import Refused

_RACERS = 8
_HINT = "put the store on a local file system, or reach it through a gateway (remote.endpoint)"


def probe(root: str) -> dict[str, str]:
    """Try the file system at ROOT; each promise and how it held. Raises Refused (PROBE_FAILED), Unavailable."""
    try:
        os.makedirs(root, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".asl-probe-", dir=root)
    except OSError as error:
        raise failure(f"{root}: cannot be written", error) from error
    try:
        found = {}
        for name, check in _CHECKS.items():
            try:
                held = check(folder)
            except OSError as error:
                raise _refused(root, name, (error.strerror or str(error)).lower()) from error
            if not held:
                raise _refused(root, name, "it did not hold")
            found[name] = "holds"
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refused(root: str, name: str, why: str) -> Refused:
    return Refused(f"{root}: this file system cannot hold a store: {name}: {why}", reason="PROBE_FAILED", hint=_HINT, promise=name)


def _write(path: str, data: bytes, flags: int = os.O_EXCL) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _refuses(call: Callable[[], None]) -> bool:
    try:
        call()
    except FileExistsError:
        return True
    return False


def _exclusive(folder: str) -> bool:
    path = os.path.join(folder, "exclusive")
    _write(path, b"first")
    return _refuses(lambda: _write(path, b"second")) and _read(path) == b"first"


def _link(folder: str) -> bool:
    one, other, name = (os.path.join(folder, each) for each in ("one", "other", "name"))
    _write(one, b"one")
    _write(other, b"other")
    os.link(one, name)
    return _refuses(lambda: os.link(other, name)) and _read(name) == b"one"


def _race(folder: str) -> bool:
    """Several at once link their file to one name: exactly one may."""
    name, files = os.path.join(folder, "race"), [os.path.join(folder, f"racer-{number}") for number in range(_RACERS)]
    for path in files:
        _write(path, path.encode())
    with ThreadPoolExecutor(_RACERS) as pool:
        refused = list(pool.map(lambda path: _refuses(lambda: os.link(path, name)), files))
    return refused.count(False) == 1 and _read(name) == files[refused.index(False)].encode()


def _rename(folder: str) -> bool:
    new, name = os.path.join(folder, "new"), os.path.join(folder, "renamed")
    _write(name, b"old")
    _write(new, b"new")
    os.rename(new, name)
    return _read(name) == b"new" and not os.path.exists(new)


def _sync(folder: str) -> bool:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _lock(folder: str) -> bool:
    path = os.path.join(folder, "lock")
    with open(path, "ab") as one, open(path, "ab") as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        return True


def _bytes(folder: str) -> bool:
    path, data = os.path.join(folder, "bytes"), os.urandom(1 << 16)
    _write(path, data)
    return _read(path) == data and os.stat(path).st_size == len(data)


_CHECKS: dict[str, Callable[[str], bool]] = {
    "exclusive create": _exclusive,
    "link that does not replace": _link,
    "one winner among several links": _race,
    "rename that replaces": _rename,
    "fsync of a folder": _sync,
    "flock": _lock,
    "bytes as they were written": _bytes,
}
