# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zstd by the machine's own libzstd, found at run time. Calls run without the interpreter's lock, so threads work side by side."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from typing import Any, Optional, Union

LIBRARIES = ("libzstd.so.1", "libzstd.so")
# Programs and libraries: 6 % smaller than level 1 in 7 % more time. Level 3 takes 43 % more (docs/performance.md).
LEVEL = 2


class ZstdError(ValueError):
    """Not a frame, or one that was damaged; libzstd's own words."""


class Zstd:
    """One libzstd. Safe in any number of threads; contexts are kept for the next call."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, arguments, result in (
            ("createCCtx", (), pointer), ("createDCtx", (), pointer), ("freeCCtx", (pointer,), size), ("freeDCtx", (pointer,), size),
            ("compressBound", (size,), size), ("isError", (size,), ctypes.c_uint), ("getErrorName", (size,), ctypes.c_char_p),
            ("compressCCtx", (pointer, pointer, size, pointer, size, ctypes.c_int), size),
            ("decompressDCtx", (pointer, pointer, size, pointer, size), size),
        ):  # fmt: skip
            function = getattr(library, f"ZSTD_{name}")
            function.argtypes, function.restype = arguments, result
        self._library = library
        self._compressors: list[int] = []
        self._decompressors: list[int] = []

    def compress(self, data: Union[bytearray, memoryview], level: int = LEVEL) -> bytes:
        """One frame that holds DATA, which is writable memory in one piece."""
        library, length = self._library, len(data)
        out = ctypes.create_string_buffer(library.ZSTD_compressBound(length))
        source = (ctypes.c_char * length).from_buffer(data)
        context = self._compressors.pop() if self._compressors else library.ZSTD_createCCtx()
        try:
            made = self._checked(library.ZSTD_compressCCtx(context, out, len(out), source, length, level))
        finally:
            self._compressors.append(context)
        return ctypes.string_at(out, made)

    def decompress(self, frame: bytes, size: int) -> bytes:
        """The SIZE bytes in FRAME. Raises ZstdError, also when there are more or fewer."""
        library = self._library
        out = ctypes.create_string_buffer(size or 1)
        context = self._decompressors.pop() if self._decompressors else library.ZSTD_createDCtx()
        try:
            got = self._checked(library.ZSTD_decompressDCtx(context, out, size, frame, len(frame)))
        finally:
            self._decompressors.append(context)
        if got != size:
            raise ZstdError(f"a frame of {got} bytes where {size} belong")
        return ctypes.string_at(out, size)

    def _checked(self, code: Any) -> int:
        if self._library.ZSTD_isError(code):
            raise ZstdError(self._library.ZSTD_getErrorName(code).decode("ascii", "replace").lower())
        return int(code)


@functools.cache
def find() -> Optional[Zstd]:
    """The machine's libzstd; None where there is none."""
    for name in LIBRARIES:
        with contextlib.suppress(OSError, AttributeError):
            return Zstd(ctypes.CDLL(name))
    return None
