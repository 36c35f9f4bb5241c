# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernel a process gets, why, and what the library itself refuses."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from asl import kernel
from asl.kernel import ChunkParams, choose
from asl.kernel.contract import TRIAL, trial
from asl.kernel.native import ABI, Chunking, NativeKernel, Run, declare
from asl.kernel.python import PythonKernel

ENGINE = Path(kernel.LIBRARY).parent
SYSTEM_COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
COMPILER = [SYSTEM_COMPILER] if SYSTEM_COMPILER else [sys.executable, "-m", "ziglang", "cc"]
HAS_COMPILER = bool(SYSTEM_COMPILER or importlib.util.find_spec("ziglang"))
PARAMS = ChunkParams(8, 32, 128)


@pytest.fixture
def library(native: NativeKernel, tmp_path: Path) -> Path:
    """A copy of the built library, free to be damaged."""
    return Path(shutil.copy(kernel.LIBRARY, tmp_path / "libasl.so"))


def why(path: Path) -> str:
    """The reason the twin gives for standing in; it works whatever the reason."""
    chosen = choose(path, {})
    assert (chosen.name, chosen.slow) == ("python", True)
    assert chosen.cut(bytes(100), PARAMS, True)[-1] == 100
    return chosen.why


def compiled(path: Path, source: str) -> Path:
    path.with_suffix(".c").write_text(source, encoding="ascii")
    subprocess.run([*COMPILER, "-shared", "-fPIC", "-o", str(path), str(path.with_suffix(".c"))], check=True, timeout=60)
    return path


def test_the_built_library_is_chosen(library: Path) -> None:
    chosen = choose(library, {})
    assert (chosen.name, chosen.slow, chosen.why) == ("libasl", False, "")
    assert kernel.load() is kernel.load()


def test_what_a_library_is_held_against_is_what_the_twin_answers() -> None:
    """The twin itself is not asked at each start: that took longer than all else in it."""
    assert trial(PythonKernel("asked")) == TRIAL


def test_absent(tmp_path: Path) -> None:
    assert why(tmp_path / "libasl.so") == f"{tmp_path / 'libasl.so'} is absent"


@pytest.mark.parametrize(("value", "name"), [("1", "python"), ("yes", "python"), ("0", "libasl"), ("", "libasl")])
def test_switched_off_by_the_environment(library: Path, value: str, name: str) -> None:
    chosen = choose(library, {"ASL_NO_NATIVE": value})
    assert chosen.name == name
    assert chosen.why == ("disabled by ASL_NO_NATIVE" if name == "python" else "")


def test_a_process_reads_the_switch(native: NativeKernel) -> None:
    code = "from asl.kernel import load; k = load(); print(k.name, k.slow, k.why, sep='|')"
    environ = {**os.environ, "PYTHONPATH": str(ENGINE), "PYTHONDONTWRITEBYTECODE": "1"}
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], env={**environ, "ASL_NO_NATIVE": value}, stdout=subprocess.PIPE, text=True, check=True, timeout=60
        ).stdout
        for value in ("0", "1")
    ]
    assert answers == ["libasl|False|\n", "python|True|disabled by ASL_NO_NATIVE\n"]


def test_not_a_library(tmp_path: Path) -> None:
    path = tmp_path / "libasl.so"
    for text in ("", "not a library\n" * 20):
        path.write_text(text, encoding="ascii")
        assert why(path) == f"{path} is not a library"


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    assert "cannot be loaded" in why(tmp_path)


def test_every_broken_off_copy_is_refused(library: Path) -> None:
    whole = library.read_bytes()
    for size in range(64, len(whole), 97):
        library.write_bytes(whole[:size])
        assert why(library) == f"{library} is incomplete"


def test_other_architecture(library: Path) -> None:
    content = bytearray(library.read_bytes())
    other, name = (183, "aarch64") if os.uname().machine != "aarch64" else (62, "x86_64")
    struct.pack_into("<H", content, 18, other)
    library.write_bytes(content)
    assert why(library) == f"{library} is built for {name}, this machine is {os.uname().machine}"


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler on this machine to build a library of another ABI")
def test_other_abi_and_missing_functions(tmp_path: Path) -> None:
    other = compiled(tmp_path / "other.so", "unsigned asl_abi(void) { return 99; }\n")
    assert why(other) == f"{other} has ABI 99, this engine needs ABI {ABI}"
    half = compiled(tmp_path / "half.so", f"unsigned asl_abi(void) {{ return {ABI}; }}\n")
    assert why(half).startswith(f"{half} lacks a function of ABI {ABI}: ")
    none = compiled(tmp_path / "none.so", "int unrelated(void) { return 6; }\n")
    assert why(none).startswith(f"{none} lacks a function of ABI {ABI}: ")


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler on this machine to build a library that errs")
def test_wrong_answers_are_noticed(tmp_path: Path) -> None:
    head = f"unsigned asl_abi(void) {{{{ return {ABI}; }}}}\nlong long asl_zero_runs(void) {{{{ return 0; }}}}\n"
    others = ("crypto", "parts", "digests", "sink_new", "sink_free", "sink_hash", "sink_digest", "sink_hash_chunks", "sink_write_chunks")
    others += ("find", "filter", "scan", "slurp", "make", "merge", "count", "verify", "sweep")
    head += "".join(f"long long asl_{name}(void) {{{{ return 0; }}}}\n" for name in others)
    functions = head + "long long asl_cut(void) {{ return {}; }}\n"
    silent = compiled(tmp_path / "silent.so", functions.format(0))
    assert why(silent) == f"{silent} gives other answers than the Python kernel"
    failing = compiled(tmp_path / "failing.so", functions.format(-1))
    assert why(failing) == f"{failing} does not answer: libasl refused a call: pointer or start out of bounds"


def test_the_library_checks_bounds_itself(library: Path) -> None:
    lib = declare(ctypes.CDLL(str(library)))
    data, ends, runs = ctypes.create_string_buffer(8192), (ctypes.c_uint64 * 1)(7), (Run * 1)(Run(7, 7))
    sizes = ctypes.byref(Chunking(8, 32, 128))
    assert lib.asl_cut(data, 8192, 8193, sizes, 1, ends, 1) == -1
    assert lib.asl_cut(data, 8192, 2**64 - 1, sizes, 1, ends, 1) == -1
    assert lib.asl_cut(None, 8192, 0, sizes, 1, ends, 1) == -1
    assert lib.asl_cut(data, 8192, 0, None, 1, ends, 1) == -1
    assert lib.asl_cut(data, 8192, 0, sizes, 1, None, 1) == -1
    assert lib.asl_cut(data, 8192, 0, ctypes.byref(Chunking(8, 33, 128)), 1, ends, 1) == -2
    assert lib.asl_zero_runs(data, 8192, 8193, 0, runs, 1) == -1
    assert lib.asl_zero_runs(data, 8192, 100, 0, runs, 1) == -1
    assert lib.asl_zero_runs(None, 8192, 0, 0, runs, 1) == -1
    assert (ends[0], runs[0].start, runs[0].end) == (7, 7, 7)
    assert lib.asl_zero_runs(data, 8192, 0, 0, runs, 1) == 1
