# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel: the few functions over raw bytes that decide the engine's speed, once in C and once in Python.

Both halves give the same answers for the same bytes; only the speed differs. ``load()`` chooses one per process:

    contract.py   what a kernel owes (Kernel), and the sizes of chunks (ChunkParams)
    python.py     the complete twin in Python
    files.py      names of a directory in batches, both halves
    merging.py    segments made into one, both halves
    sweeping.py   a failing disk read step by step, both halves
    native.py     the binding of libasl.so: everything ctypes

The environment variable ASL_NO_NATIVE=1 chooses the twin. Nothing else of the environment is read here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

from asl.kernel import native
from asl.kernel.contract import PAGE, Buffer, ChunkParams, Kernel, Mapped, Sink, Spans, Table
from asl.kernel.python import PythonKernel

if TYPE_CHECKING:
    from asl.kernel.files import Status
    from asl.kernel.merging import Input

__all__ = ["LIBRARY", "PAGE", "Buffer", "ChunkParams", "Input", "Kernel", "Mapped", "Sink", "Spans", "Status", "Table", "choose", "load"]

# Beside the engine: lib/asl/kernel/__init__.py -> lib/libasl.so
LIBRARY = os.path.join(os.path.realpath(__file__).rsplit("/", 3)[0], "libasl.so")


def __getattr__(name: str) -> Any:
    """Imported when somebody asks for it: most commands merge nothing and look at no folder."""
    if name == "Status":
        from asl.kernel.files import Status

        return Status
    if name == "Input":
        from asl.kernel.merging import Input

        return Input
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def load() -> Kernel:
    """The kernel of this process. Chosen at the first call; never fails, since the twin is always there."""
    return choose(LIBRARY, os.environ)


def choose(library: Union[str, os.PathLike[str]], environ: Mapping[str, str]) -> Kernel:
    """The native kernel where ``library`` can be used, else the twin, whose ``why`` names the reason in one clause."""
    if environ.get("ASL_NO_NATIVE", "") not in ("", "0"):
        return PythonKernel("disabled by ASL_NO_NATIVE")
    try:
        return native.open_library(library)
    except native.Unusable as reason:
        return PythonKernel(str(reason))
