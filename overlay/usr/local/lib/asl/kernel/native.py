# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binding of libasl.so: every C type of the engine stands here. The rules of the ABI stand in native/asl.h."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asl.kernel.contract import PAGE, Buffer, ChunkParams, Kernel
from asl.kernel.python import PythonKernel

ABI = 1  # ASL_ABI
ERRORS = {-1: "pointer or start out of bounds", -2: "chunk sizes outside the limits"}  # ASL_EBOUNDS, ASL_EPARAMETERS
BATCH = 4096  # results asked for in one call: 32 or 64 KiB of arrays

ELF64 = struct.Struct("<4sBB12xH20xQ10xHH2x")  # magic, class, byte order, e_machine, e_shoff, e_shentsize, e_shnum
ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class Unusable(Exception):
    """The library cannot be used; the text is one clause that says why."""


class Chunking(ctypes.Structure):
    """struct asl_chunking"""

    _fields_ = (("minimum", ctypes.c_uint64), ("average", ctypes.c_uint64), ("maximum", ctypes.c_uint64))


class Run(ctypes.Structure):
    """struct asl_run"""

    _fields_ = (("start", ctypes.c_uint64), ("end", ctypes.c_uint64))


class PyBuffer(ctypes.Structure):
    """Py_buffer of the CPython C API (part of its stable ABI): the only way to the address of read-only memory."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


PYBUF_SIMPLE = 0
_python = ctypes.PyDLL(None)  # an instance of its own: argtypes set here are seen by nobody else
_python.PyObject_GetBuffer.argtypes = (ctypes.py_object, ctypes.POINTER(PyBuffer), ctypes.c_int)
_python.PyObject_GetBuffer.restype = ctypes.c_int
_python.PyBuffer_Release.argtypes = (ctypes.POINTER(PyBuffer),)
_python.PyBuffer_Release.restype = None


def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """Give every function of the ABI its C types. AttributeError where one is missing."""
    u64, data, result = ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int64
    library.asl_abi.argtypes, library.asl_abi.restype = (), ctypes.c_uint32
    cut, runs = library.asl_cut, library.asl_zero_runs
    cut.argtypes = (data, u64, u64, ctypes.POINTER(Chunking), ctypes.c_uint32, ctypes.POINTER(u64), u64)
    runs.argtypes = (data, u64, u64, u64, ctypes.POINTER(Run), u64)
    cut.restype = runs.restype = result
    return library


def open_library(path: Path) -> NativeKernel:
    """The kernel in the library at ``path``, tried out against the Python kernel. Raises Unusable."""
    try:
        machine = _elf_machine(path)
        library = ctypes.CDLL(str(path))  # CDLL: other threads run Python while C works
    except FileNotFoundError:
        raise Unusable(f"{path} is absent") from None
    except OSError as error:
        here = os.uname().machine
        if path.is_file() and machine != here:
            raise Unusable(f"{path} is built for {machine}, this machine is {here}") from error
        raise Unusable(f"{path} cannot be loaded: {error}") from error
    try:
        found = ctypes.CFUNCTYPE(ctypes.c_uint32)(("asl_abi", library))()
        if found != ABI:
            raise Unusable(f"{path} has ABI {found}, this engine needs ABI {ABI}")
        kernel = NativeKernel(declare(library))
    except AttributeError as error:
        raise Unusable(f"{path} lacks a function of ABI {ABI}: {error}") from error
    _probe(path, kernel)
    return kernel


def _elf_machine(path: Path) -> str:
    """The architecture a library is built for. Raises Unusable where it is broken off: loading it could kill the process."""
    with path.open("rb") as file:
        head, size = file.read(ELF64.size), os.fstat(file.fileno()).st_size
    if len(head) < ELF64.size or head[:4] != b"\x7fELF":
        raise Unusable(f"{path} is not a library")
    _, kind, order, machine, table, entry, entries = ELF64.unpack(head)
    if (kind, order) == (2, 1) and table + entry * entries > size:  # the section table lies at the end of the file
        raise Unusable(f"{path} is incomplete")
    return ELF_MACHINES.get(machine, f"ELF machine {machine}")


def _probe(path: Path, kernel: NativeKernel) -> None:
    """Hold the library against the twin on 16 KiB of data and zero pages. Raises Unusable."""
    twin, params = PythonKernel("probe"), ChunkParams(32, 128, 512)
    data = bytes(i * i * 31 >> 7 & 255 for i in range(PAGE)) + bytes(2 * PAGE) + b"\x01" * (PAGE - 1)
    try:
        same = all(kernel.cut(data, params, final) == twin.cut(data, params, final) for final in (False, True))
        same = same and kernel.zero_runs(data, 0) == twin.zero_runs(data, 0)
    except RuntimeError as error:
        raise Unusable(f"{path} does not answer: {error}") from error
    if not same:
        raise Unusable(f"{path} gives other answers than the Python kernel")


@contextmanager
def pinned(data: Buffer) -> Iterator[tuple[int, int]]:
    """(address, length in bytes) of the memory of ``data``, which keeps its place meanwhile. TypeError for other objects."""
    with memoryview(data) as whole, whole.cast("B") as view:
        buffer = PyBuffer()
        _python.PyObject_GetBuffer(view, ctypes.byref(buffer), PYBUF_SIMPLE)
        try:
            yield buffer.buf or 0, buffer.len
        finally:
            _python.PyBuffer_Release(ctypes.byref(buffer))


class NativeKernel(Kernel):
    """libasl.so. Made by ``open_library``."""

    name = "libasl"
    slow = False

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def cut(self, data: Buffer, params: ChunkParams, final: bool) -> list[int]:
        sizes = Chunking(params.minimum, params.average, params.maximum)
        ends: list[int] = []
        with pinned(data) as (address, length):
            capacity = min(BATCH, length // params.minimum + 1)
            batch = (ctypes.c_uint64 * capacity)()
            count = capacity
            while count == capacity:
                start = ends[-1] if ends else 0
                count = _checked(self._library.asl_cut(address, length, start, ctypes.byref(sizes), bool(final), batch, capacity))
                ends += batch[:count]
        return ends

    def zero_runs(self, data: Buffer, minimum: int) -> list[tuple[int, int]]:
        if minimum < 0:
            raise ValueError(f"zero_runs: minimum is {minimum}, and must be 0 or more")
        runs: list[tuple[int, int]] = []
        with pinned(data) as (address, length):
            least = min(minimum, length + 1)  # no run is longer: the same answer, and it fits into 64 bits
            capacity = min(BATCH, length // (2 * PAGE) + 1)
            batch = (Run * capacity)()
            count = capacity
            while count == capacity:
                start = runs[-1][1] if runs else 0
                count = _checked(self._library.asl_zero_runs(address, length, start, least, batch, capacity))
                runs += [(run.start, run.end) for run in batch[:count]]
        return runs


def _checked(result: Any) -> int:
    """The count of results; RuntimeError for an error code, which only a mistake in this file or a wrong library can cause."""
    if result < 0:
        raise RuntimeError(f"libasl refused a call: {ERRORS.get(result, f'code {result}')}")
    return int(result)
