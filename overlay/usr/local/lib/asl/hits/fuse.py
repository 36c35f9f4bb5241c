# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file, served by this process through the kernel's FUSE: linux/fuse.h, protocol 7. All numbers are in the machine's byte order.

    request    0 u32 length   4 u32 opcode   8 u64 unique   16 u64 node   24 u32 uid   28 u32 gid   32 u32 pid   36 u32 padding
    reply      0 u32 length   4 s32 -errno   8 u64 unique
    READ       0 u64 handle   8 u64 offset  16 u32 size …         GETATTR gives 16 bytes of validity and 88 of attributes

The root of the file system is the file itself, so no names have to be looked up.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from typing import Optional

DEVICE = "/dev/fuse"
MAJOR, MINOR = 7, 31
# What the kernel asks for at once, in bytes: its default of 32 pages.
MOST = 128 * 1024
_REQUEST, _REPLY = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
_READ = struct.Struct("=QQI")
_INIT_OUT = struct.Struct("=IIIIHHIIHHI7I")
_ATTR = struct.Struct("=6Q10I")
_OPEN_OUT = struct.Struct("=QII")
_STATFS = struct.Struct("=QQQQQIIII6I")
FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 2, 3, 14, 15, 17, 18, 25, 26
ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 34, 36, 38, 42
_SILENT = (FORGET, BATCH_FORGET, INTERRUPT)

Fetch = Callable[[int, int], bytes]


class Server:
    """Answers for a file of SIZE bytes; FETCH(offset, length) gives them or raises OSError."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        self._size, self._fetch = size, fetch

    def serve(self, fd: int) -> None:
        """Answer what comes from FD, an open DEVICE, until the file system is unmounted."""
        while True:
            try:
                request = os.read(fd, MOST + 4096)
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EAGAIN):
                    continue  # the request was taken back
                return  # ENODEV: unmounted
            if len(request) < _REQUEST.size:
                return
            reply = self.answer(request)
            if reply is not None:
                try:
                    os.write(fd, reply)
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        return

    def answer(self, request: bytes) -> Optional[bytes]:
        """The reply to one REQUEST; None for one that has none."""
        _length, opcode, unique, *_rest = _REQUEST.unpack_from(request)
        if opcode in _SILENT:
            return None
        try:
            body, failed = self._body(opcode, request[_REQUEST.size :]), 0
        except OSError as error:
            body, failed = b"", error.errno or errno.EIO
        return _REPLY.pack(_REPLY.size + len(body), -failed, unique) + body

    def _body(self, opcode: int, asked: bytes) -> bytes:
        if opcode == READ:
            _handle, at, size = _READ.unpack_from(asked)
            return self._fetch(at, size)
        if opcode == INIT:
            return _INIT_OUT.pack(MAJOR, MINOR, MOST, 0, 12, 9, 4096, 1, 0, 0, 0, *([0] * 7))
        if opcode == GETATTR:
            mode = stat.S_IFREG | 0o400
            blocks = (self._size + 511) // 512
            return struct.pack("=QII", 3600, 0, 0) + _ATTR.pack(1, self._size, blocks, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
        if opcode == OPEN:
            return _OPEN_OUT.pack(1, 0, 0)
        if opcode == STATFS:
            return _STATFS.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0, *([0] * 6))
        if opcode in (RELEASE, FLUSH, ACCESS, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
