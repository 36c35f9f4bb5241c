# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast this machine does the single steps of an intake, so that it can be said what an intake here is bound by.

Every step is measured in rates of bytes a second of one thread; sha256 also with all cores at once, as an intake uses them.
"""

from __future__ import annotations

import mmap
import os
import random
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Optional

from asl import kernel
from asl.errors import Unavailable, Usage
from asl.kernel import ChunkParams, Kernel, Mapped, zstd

PIECE = 4 * 1024 * 1024
# Seconds that each step is repeated for; the fastest repetition counts, as the others met somebody else.
REPEAT = 0.4
RECORDS, ASKED = 200_000, 20_000


def material() -> memoryview:
    """PIECE bytes in memory that was touched: half noise, half text that shrinks."""
    rng = random.Random(1)
    words = [b"%x " % rng.getrandbits(20) for _word in range(300)]
    text = b"".join(rng.choice(words) for _word in range(PIECE // 10))[: PIECE // 2]
    view = memoryview(mmap.mmap(-1, PIECE))
    view[: len(text)] = text
    view[len(text) :] = rng.randbytes(PIECE - len(text))
    return view


def best(step: Callable[[], object], amount: int) -> int:
    """The rate of STEP, which does AMOUNT of something: the best of REPEAT seconds, a second."""
    fastest, until = float("inf"), time.monotonic() + REPEAT
    while True:
        began = time.perf_counter()
        step()
        ended = time.perf_counter()
        fastest = min(fastest, max(ended - began, 1e-9))
        if time.monotonic() >= until:
            return round(amount / fastest)


def processor(chosen: Kernel) -> dict[str, Any]:
    """cut, sha256, zero detection, look-up and, where there is a libzstd, compression."""
    data, params = material(), ChunkParams()
    ends = chosen.cut(data, params, True)
    spans = array("Q", [place for span in zip([0, *ends], ends) for place in span])
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as pool:
        together = best(lambda: list(pool.map(lambda _: chosen.digests(data, spans), range(cores))), PIECE * cores)
    codec, zeros = zstd.find(), bytes(PIECE)
    return {
        "cores": cores,
        "cut": best(lambda: chosen.cut(data, params, True), PIECE),
        "zeros": best(lambda: chosen.zero_runs(zeros, 0), PIECE),
        "sha256": best(lambda: chosen.digests(data, spans), PIECE),
        "sha256_all_cores": together,
        "zstd": None if codec is None else best(lambda: codec.compress(data[: PIECE // 4]), PIECE // 4),
        "look_ups": look_ups(chosen),
    }


def look_ups(chosen: Kernel) -> int:
    """Digests a second that are not there, asked of eight segments with filters."""
    rng, segments = random.Random(2), []
    for _part in range(8):
        records = b"".join(sorted(rng.randbytes(44) for _record in range(RECORDS // 8)))
        made = chosen.filter(records, 64 * (RECORDS // 8 * 12 // 512 + 1))
        segments.append(Mapped(made + records, len(made), RECORDS // 8, 0, len(made)))
    table, asked = chosen.table(segments), rng.randbytes(32 * ASKED)
    return best(lambda: table.known(asked), ASKED)


def reading(path: str, size: int) -> dict[str, Any]:
    """Reading the first SIZE bytes of a file or device once, from front to back, past the page cache where it can be. Raises Usage."""
    buffer = memoryview(mmap.mmap(-1, PIECE))
    try:
        fd, direct = _open_direct(path)
    except OSError as error:
        raise Usage(f"{path} cannot be read: {os.strerror(error.errno or 0)}", reason="SOURCE_NOT_FOUND") from error
    try:
        done, began = 0, time.perf_counter()
        while done < size:
            count = os.preadv(fd, [buffer[: min(PIECE, size - done)]], done)
            if not count:
                break
            done += count
        seconds = time.perf_counter() - began
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {os.strerror(error.errno or 0)}", reason="IO_ERROR") from error
    finally:
        os.close(fd)
    return {"path": path, "bytes": done, "direct": direct, "rate": round(done / max(seconds, 1e-9))}


def _open_direct(path: str) -> tuple[int, bool]:
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        with suppress(OSError):
            os.preadv(fd, [memoryview(mmap.mmap(-1, 4096))], 0)
            return fd, True
        os.close(fd)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False


def writing(folder: str, size: int) -> dict[str, Any]:
    """Writing SIZE bytes into a file in FOLDER, making it durable, and small durable files one by one. Raises Unavailable."""
    data = material()
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="asl-bench-") as file:
            began = time.perf_counter()
            for at in range(0, size, PIECE):
                os.write(file.fileno(), data[: min(PIECE, size - at)])
            written = time.perf_counter()
            os.fsync(file.fileno())
            synced = time.perf_counter()
        small, until = 0, time.monotonic() + REPEAT
        started = time.perf_counter()
        while time.monotonic() < until:
            with tempfile.NamedTemporaryFile(dir=folder, prefix="asl-bench-") as file:
                file.write(data[:4096])
                file.flush()
                os.fsync(file.fileno())
            small += 1
        ended = time.perf_counter()
    except OSError as error:
        hint = "choose another folder with --dir"
        raise Unavailable(f"{folder} cannot be written: {os.strerror(error.errno or 0)}", reason="WRITE_FAILED", hint=hint) from error
    return {
        "path": folder,
        "bytes": size,
        "write": round(size / max(written - began, 1e-9)),
        "durable": round(size / max(synced - began, 1e-9)),
        "fsyncs": round(small / max(ended - started, 1e-9)),
    }


def run(folder: str, size: int, sources: Sequence[str] = (), chosen: Optional[Kernel] = None) -> dict[str, Any]:
    """Measure everything: the document of `asl-debug bench`. Rates in bytes a second, look_ups and fsyncs a second."""
    chosen = chosen or kernel.load()
    found = {"kernel": chosen.name, "processor": processor(chosen), "write": writing(folder, size)}
    return {**found, "read": [reading(path, size) for path in sources], "bounds": bounds(found)}


def bounds(found: dict[str, Any]) -> dict[str, int]:
    """What an intake can reach here at most, in bytes a second, when nothing waits: the steps a byte goes through, over all cores.

    all_new: cut, hashed as a chunk and as part of a block, and written. duplicate: cut and hashed."""
    speed = found["processor"]
    seconds = 1 / speed["cut"] + 1 / speed["sha256"]
    cores = speed["cores"]
    new = seconds + 1 / speed["sha256"] + 1 / found["write"]["write"]
    return {"all_new": round(min(cores / new, found["write"]["durable"])), "duplicate": round(cores / seconds)}
