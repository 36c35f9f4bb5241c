# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to the names of a directory, in order, as the kernel tells it (inotify(7))."""

from __future__ import annotations

import ctypes
import os
import struct

MODIFY, ATTRIBUTES, CREATED, DELETED = 0x2, 0x4, 0x100, 0x200
_EVENT = struct.Struct("=iIII")


class Watch:
    """Begins at once, and tells at the end."""

    def __init__(self, directory: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._fd >= 0
        assert libc.inotify_add_watch(self._fd, os.fsencode(directory), MODIFY | ATTRIBUTES | CREATED | DELETED) >= 0

    def events(self, name: bytes) -> list[int]:
        """What happened to NAME, the same in a row once."""
        data, at, found = os.read(self._fd, 1 << 20), 0, []
        os.close(self._fd)
        while at < len(data):
            _watch, mask, _cookie, length = _EVENT.unpack_from(data, at)
            if data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0") == name and found[-1:] != [mask]:
                found.append(mask)
            at += _EVENT.size + length
        return found
