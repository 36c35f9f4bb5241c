# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binding of libasl.so: every C type of the engine stands here. The rules of the ABI stand in native/asl.h."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import struct
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from asl.kernel.contract import DIGEST, PAGE, RECORD, TRIAL, Buffer, ChunkParams, Kernel, Mapped, Sink, Spans, Table, Write, trial
from asl.kernel.python import PythonKernel, check_areas, check_stretch

if TYPE_CHECKING:
    from asl.kernel.files import NativeFiles
    from asl.kernel.merging import Input, PythonMerge
    from asl.kernel.sweeping import NativeSweeper

ABI = 10  # ASL_ABI
# ASL_EBOUNDS, ASL_EPARAMETERS, ASL_ECRYPTO
ERRORS = {-1: "pointer or start out of bounds", -2: "chunk sizes outside the limits", -3: "libcrypto failed"}
SYSTEM = -4096  # ASL_ESYSTEM
NONE = 2**64 - 1  # ASL_NONE
SHORT = 2 * 1024 * 1024  # bytes that are looked through for zeros without letting other threads in: 0.1 ms where all are zeros
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


class SegmentView(ctypes.Structure):
    """struct asl_segment"""

    _fields_ = (("records", ctypes.c_void_p), ("count", ctypes.c_uint64), ("filter", ctypes.c_void_p), ("filter_size", ctypes.c_uint64))


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
    library.asl_parts.argtypes = (data, u64, u64, data, u64, ctypes.POINTER(Chunking), u64, data, u64, data)
    library.asl_parts.restype = result
    library.asl_crypto.argtypes = ()
    library.asl_digests.argtypes = (data, u64, data, u64, data, u64)
    library.asl_sink_new.argtypes, library.asl_sink_new.restype = (), data
    library.asl_sink_free.argtypes, library.asl_sink_free.restype = (data,), None
    library.asl_sink_hash.argtypes = library.asl_sink_digest.argtypes = (data, data, u64)
    library.asl_sink_hash_chunks.argtypes = (data, data, u64, data, u64)
    library.asl_sink_write_chunks.argtypes = (data, ctypes.c_int32, data, u64, data, u64)
    library.asl_sink_hash_chunks.restype = library.asl_sink_write_chunks.restype = result
    library.asl_find.argtypes = (data, u64, data, u64, data, u64)
    library.asl_filter.argtypes = (data, u64, u64, u64, data, u64)
    library.asl_merge.argtypes = (data, u64, data, u64, data, data, u64)
    library.asl_count.argtypes = (data, u64, u64)
    library.asl_merge.restype = library.asl_count.restype = result
    library.asl_verify.argtypes, library.asl_verify.restype = (ctypes.c_int32, data, data, u64, data, u64, data), result
    library.asl_scan.argtypes = (ctypes.c_int32, data, u64, u64, u64, data, u64)
    library.asl_slurp.argtypes = (ctypes.c_int32, data, u64, u64, ctypes.c_uint32, data, data, u64)
    library.asl_make.argtypes = (data, u64, u64, data, data, u64, data, data, u64, data, u64)
    library.asl_sweep.argtypes, library.asl_sweep.restype = (data, data, u64, data, data, data), result
    library.asl_scan.restype = library.asl_slurp.restype = library.asl_make.restype = result
    for function in (library.asl_crypto, library.asl_digests, library.asl_sink_hash, library.asl_sink_digest):
        function.restype = result
    cut.restype = runs.restype = library.asl_find.restype = library.asl_filter.restype = result
    return library


def open_library(path: Union[str, os.PathLike[str]]) -> NativeKernel:
    """The kernel in the library at ``path``, tried out against the Python kernel. Raises Unusable."""
    here = machine = os.uname().machine
    try:
        machine = _elf_machine(path)
        library = ctypes.CDLL(str(path))  # CDLL: other threads run Python while C works
    except FileNotFoundError:
        raise Unusable(f"{path} is absent") from None
    except OSError as error:
        if machine != here:
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


def _elf_machine(path: Union[str, os.PathLike[str]]) -> str:
    """The architecture a library is built for. Raises Unusable where it is broken off: loading it could kill the process."""
    with open(path, "rb") as file:
        head, size = file.read(ELF64.size), os.fstat(file.fileno()).st_size
    if len(head) < ELF64.size or head[:4] != b"\x7fELF":
        raise Unusable(f"{path} is not a library")
    _magic, kind, order, machine, table, entry, entries = ELF64.unpack(head)
    if (kind, order) == (2, 1) and table + entry * entries > size:  # the section table lies at the end of the file
        raise Unusable(f"{path} is incomplete")
    return ELF_MACHINES.get(machine, f"ELF machine {machine}")


def _probe(path: Union[str, os.PathLike[str]], kernel: NativeKernel) -> None:
    """Hold the library against what the twin answers. Raises Unusable."""
    try:
        same = trial(kernel) == TRIAL
    except RuntimeError as error:
        raise Unusable(f"{path} does not answer: {error}") from error
    if not same:
        raise Unusable(f"{path} gives other answers than the Python kernel")


class _Held:
    """Read-only memory that keeps its place as long as this lives."""

    def __init__(self, data: Buffer) -> None:
        with memoryview(data) as whole:
            self._view = whole.cast("B")
        self.buffer = PyBuffer()
        _python.PyObject_GetBuffer(self._view, ctypes.byref(self.buffer), PYBUF_SIMPLE)

    def __del__(self) -> None:
        if hasattr(self, "buffer"):
            _python.PyBuffer_Release(ctypes.byref(self.buffer))


def pin(data: Buffer) -> tuple[object, Any, int]:
    """(holder, address or the bytes themselves, length in bytes): the memory keeps its place while the holder lives.

    TypeError for objects without memory in one piece."""
    if isinstance(data, bytes):
        return data, data, len(data)
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    if size:
        with contextlib.suppress(TypeError):  # not writable, or not in one piece
            held = ctypes.c_char.from_buffer(data)
            return held, ctypes.addressof(held), size
    holder = _Held(data)
    return holder, holder.buffer.buf or 0, holder.buffer.len


class NativeKernel(Kernel):
    """libasl.so. Made by ``open_library``."""

    name = "libasl"
    slow = False

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        # A few bytes of most pages show that they are no zeros: sooner than the interpreter is let go of and had back.
        self._zero_runs = ctypes.PYFUNCTYPE(ctypes.c_int64, *library.asl_zero_runs.argtypes)(("asl_zero_runs", library))
        self.crypto = library.asl_crypto() == 1
        """Whether libcrypto was found; without it hashlib does what needs it."""

    @functools.cached_property
    def files(self) -> NativeFiles:  # type: ignore[override]
        from asl.kernel.files import NativeFiles

        return NativeFiles(self._library, crypto=self.crypto)

    @functools.cached_property
    def sweeper(self) -> NativeSweeper:  # type: ignore[override]
        from asl.kernel.sweeping import NativeSweeper

        return NativeSweeper(self._library)

    def cut(self, data: Buffer, params: ChunkParams, final: bool) -> list[int]:
        sizes = Chunking(params.minimum, params.average, params.maximum)
        ends: list[int] = []
        _held, address, length = pin(data)
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
        _held, address, length = pin(data)
        find = self._zero_runs if length <= SHORT else self._library.asl_zero_runs
        least = min(minimum, length + 1)  # no run is longer: the same answer, and it fits into 64 bits
        capacity = min(BATCH, length // (2 * PAGE) + 1)
        batch = (Run * capacity)()
        count = capacity
        while count == capacity:
            start = runs[-1][1] if runs else 0
            count = _checked(find(address, length, start, least, batch, capacity))
            runs += [(run.start, run.end) for run in batch[:count]]
        return runs

    def parts(self, data: memoryview, at: int, sizes: Sequence[int], params: ChunkParams, hole: int) -> tuple[Spans, list[int]]:
        chunking = Chunking(params.minimum, params.average, params.maximum)
        _held, address, length = pin(data)
        wanted, numbers = array("Q", sizes), array("Q", bytes(8 * len(sizes)))
        room = sum(sizes) // params.minimum + len(sizes)
        spans = array("Q", bytes(16 * room))
        count, into, made = len(sizes), spans.buffer_info()[0], numbers.buffer_info()[0]
        code = self._library.asl_parts(address, length, at, wanted.buffer_info()[0], count, ctypes.byref(chunking), hole, into, room, made)
        if code != count:
            raise ValueError(f"contents that do not lie inside {length} bytes")
        return spans[: 2 * sum(numbers)], numbers.tolist()

    def digests(self, data: Buffer, spans: Spans) -> bytes:
        if not self.crypto:
            return _TWIN.digests(data, spans)
        out = ctypes.create_string_buffer(DIGEST * (len(spans) // 2))
        _held, address, length = pin(data)
        at, count = _spans(spans)
        _inside(self._library.asl_digests(address, length, at, count, out, len(out)), length)
        return out.raw

    def verify(self, fd: int, spans: Spans, digests: bytes, memory: memoryview) -> bytes:
        if not self.crypto:
            return _TWIN.verify(fd, spans, digests, memory)
        at, count = _spans(spans)
        if len(digests) != DIGEST * count:
            raise ValueError(f"{len(digests)} bytes of digests for {count} spans")
        good = ctypes.create_string_buffer(count)
        _held, address, room = pin(memory)
        code = self._library.asl_verify(fd, at, digests, count, address, room, good)
        if code == -1:
            raise ValueError(f"spans that end before they begin, or are longer than {room} bytes")
        _checked(code)
        return good.raw

    def sink(self, write: Write, fd: Optional[int] = None) -> Sink:
        handle = self._library.asl_sink_new() if self.crypto and fd is not None else None
        return _TWIN.sink(write) if handle is None or fd is None else NativeSink(self._library, handle, write, fd)

    def table(self, segments: Sequence[Mapped]) -> Table:
        return NativeTable(self._library, segments)

    def filter_stretch(self, records: Buffer, blocks: int, first: int, size: int) -> bytes:
        check_stretch(blocks, first, size)
        made = ctypes.create_string_buffer(size)
        _held, address, length = pin(records)
        if self._library.asl_filter(address, length // RECORD, blocks, first, made, size) < 0:
            raise ValueError("a record that belongs to another stretch of the filter")
        return made.raw

    def merge(self, inputs: Sequence[Input], blocks: int) -> PythonMerge:
        from asl.kernel.merging import NativeMerge

        return NativeMerge(self._library, inputs, blocks, [_Held(each.segment.data).buffer.buf or 0 for each in inputs])


class NativeSink(Sink):
    """asl_sink. Small things are written by the caller's own function, chunks by the library."""

    def __init__(self, library: ctypes.CDLL, handle: int, write: Write, fd: int) -> None:
        self._library, self._handle, self._write, self._fd = library, handle, write, fd

    def __del__(self) -> None:
        self._library.asl_sink_free(self._handle)

    def hash(self, data: Union[bytes, bytearray, memoryview]) -> None:
        _held, address, length = pin(data)
        _checked(self._library.asl_sink_hash(self._handle, address, length))

    def write(self, data: Union[bytes, bytearray, memoryview]) -> None:
        self._write(data)

    def hash_chunks(self, data: Buffer, spans: Spans) -> None:
        _held, address, length = pin(data)
        at, count = _spans(spans)
        _inside(self._library.asl_sink_hash_chunks(self._handle, address, length, at, count), length)

    def write_chunks(self, data: Buffer, spans: Spans) -> None:
        _held, address, length = pin(data)
        at, count = _spans(spans)
        _inside(self._library.asl_sink_write_chunks(self._handle, self._fd, address, length, at, count), length)

    def digest(self) -> bytes:
        out = ctypes.create_string_buffer(DIGEST)
        _checked(self._library.asl_sink_digest(self._handle, out, DIGEST))
        return out.raw


class NativeTable(Table):
    """asl_find over mappings that are kept as long as this lives."""

    def __init__(self, library: ctypes.CDLL, segments: Sequence[Mapped]) -> None:
        self._find = library.asl_find
        # One digest is found in less time than it takes to let go of the interpreter and get it back.
        self._find_one = ctypes.PYFUNCTYPE(ctypes.c_int64, *library.asl_find.argtypes)(("asl_find", library))
        self._kept = tuple(segments)
        self._count = len(self._kept)
        self._views = (SegmentView * self._count)()
        for view, each in zip(self._views, self._kept):
            check_areas(each)
            # Where it is now it stays: bytes never move, and a mapping is not closed while it is kept here.
            address = _Held(each.data).buffer.buf or 0
            view.records, view.count = address + each.records, each.record_count
            view.filter, view.filter_size = address + each.filter, each.filter_size

    def find(self, digest: bytes) -> Optional[tuple[int, int]]:
        place = (ctypes.c_uint64 * 2)()
        _checked(self._find_one(self._views, self._count, digest, DIGEST, place, 1))
        return None if place[0] == NONE else (place[0], place[1])

    def _places(self, digests: bytes) -> Any:
        count = len(digests) // DIGEST
        places = (ctypes.c_uint64 * (2 * count))()
        _checked(self._find(self._views, self._count, digests, len(digests), places, count))
        return places

    def places(self, digests: bytes) -> list[Optional[tuple[int, int]]]:
        found = self._places(digests)
        return [None if segment == NONE else (segment, number) for segment, number in zip(found[::2], found[1::2])]

    def known(self, digests: bytes) -> bytes:
        return bytes(segment != NONE for segment in self._places(digests)[::2])


def _spans(spans: Spans) -> tuple[int, int]:
    """(address, number of pairs)."""
    if len(spans) % 2 or spans.itemsize != 8:
        raise ValueError("spans that are no pairs of 64-bit numbers")
    return spans.buffer_info()[0], len(spans) // 2


def _inside(result: Any, length: int) -> None:
    """As _checked; ValueError where the library found spans outside of LENGTH bytes."""
    if result == -1:
        raise ValueError(f"spans that do not lie inside {length} bytes")
    _checked(result)


_TWIN = PythonKernel("no libcrypto")


def _checked(result: Any) -> int:
    """The count of results. OSError for a system call that failed; ValueError and RuntimeError for an error code, which only a mistake
    of a caller or a wrong library can cause."""
    if result <= SYSTEM:
        raise OSError(SYSTEM - result, os.strerror(SYSTEM - result))
    if result < 0:
        raise RuntimeError(f"libasl refused a call: {ERRORS.get(result, f'code {result}')}")
    return int(result)
