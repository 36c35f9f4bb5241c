# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of whole programs: killed at random and at named steps, without memory or descriptors, with a clock that jumps, two at once."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from faults.stores import Kind, Points

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = CHECKOUT / "overlay/usr/local/bin"
# What a tool may end with: never a traceback.
CODES = (0, 1, 3, 4, 5, 130)


def environment(folder: Path, **extra: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ASL_")}
    return {**plain, "ASL_STATE_DIR": str(folder / "state"), "ASL_RUN_DIR": str(folder / "run"), **extra}


def tool(folder: Path, *words: str, limits: tuple[tuple[int, int], ...] = (), **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end under resource LIMITS."""

    def restrict() -> None:
        for what, value in limits:
            resource.setrlimit(what, (value, value))

    argv = [str(BIN / words[0]), "--json", "--quiet", *words[1:]]
    return subprocess.run(
        argv, env=environment(folder, **extra), capture_output=True, text=True, timeout=300, check=False,
        preexec_fn=restrict if limits else None,
    )  # fmt: skip


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode in (0, 1), f"it ended with {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tree(folder: Path, seed: int) -> Path:
    rng = random.Random(seed)
    (folder / "tree/small").mkdir(parents=True)
    for number in range(150):
        (folder / f"tree/small/{number:03d}").write_bytes(rng.randbytes(rng.randrange(1, 9000)))
    (folder / "tree/large").write_bytes(rng.randbytes(6 << 20))
    return folder / "tree"


def intake(folder: Path, source: Path, store: Path, **named: Any) -> subprocess.CompletedProcess[str]:
    return tool(folder, "asl-intake", "run", f"tree:{source}", "--store", str(store), **named)


def prepared(folder: Path, seed: int) -> tuple[Path, str, float]:
    """(a tree, the digest of its snapshot, seconds that took)."""
    source = tree(folder, seed)
    tool(folder, "asl-admin", "init", str(folder / "reference"))
    began = time.monotonic()
    digest = document(intake(folder, source, folder / "reference"))["digest"]
    return source, str(digest), time.monotonic() - began


def whole(folder: Path, source: Path, store: Path, digest: str) -> None:
    """The same command again ends as if nothing had happened, and every byte is right."""
    assert document(intake(folder, source, store))["digest"] == digest
    done = tool(folder, "asl-debug", "check", "--store", str(store))
    assert done.returncode == 0, done.stdout[:600]


def killed_at_random(folder: Path, seed: int, rounds: int) -> Points:
    """SIGKILL at a random moment of an intake, several times, before it may end."""
    source, digest, seconds = prepared(folder, seed)
    rng = random.Random(seed)
    for number in range(3 * rounds):
        store = folder / f"store-{number}"
        tool(folder, "asl-admin", "init", str(store))
        for kill in range(4):
            argv = [str(BIN / "asl-intake"), "--json", "--quiet", "run", f"tree:{source}", "--store", str(store)]
            process = subprocess.Popen(
                argv, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            try:
                process.wait(rng.uniform(0.05, seconds))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            yield f"store {number}, kill {kill}"
        whole(folder, source, store, digest)


def two_writers(folder: Path, seed: int, rounds: int) -> Points:
    """Two intakes into one store at once, one of them killed at a random moment."""
    source, digest, seconds = prepared(folder, seed)
    rng = random.Random(seed)
    for number in range(3 * rounds):
        store = folder / f"store-{number}"
        tool(folder, "asl-admin", "init", str(store))
        argv = [str(BIN / "asl-intake"), "--json", "--quiet", "run", f"tree:{source}", "--store", str(store)]
        both = [
            subprocess.Popen(argv, env=environment(folder / name), stdout=subprocess.PIPE, text=True, start_new_session=True)
            for name in ("one", "two")
        ]
        try:
            both[0].wait(rng.uniform(0.1, 2 * seconds))
        except subprocess.TimeoutExpired:
            os.killpg(both[0].pid, signal.SIGKILL)
        told = [process.communicate()[0] for process in both]
        assert both[1].returncode == 0 and json.loads(told[1])["digest"] == digest, told[1][-300:]
        whole(folder, source, store, digest)
        yield f"round {number}"


def _starts(folder: Path, what: int, value: int) -> bool:
    """Whether what a tool needs before its first line runs does so under the limit: the shell that starts Python, and Python."""

    def restrict() -> None:
        resource.setrlimit(what, (value, value))

    python = [sys.executable, "-c", "import json, hashlib, threading, ctypes, mmap, concurrent.futures"]
    for argv in (["sh", str(BIN / "asl-admin"), "--version"], python):
        if subprocess.run(argv, env=environment(folder), check=False, capture_output=True, preexec_fn=restrict).returncode:
            return False
    return True


def _limited(folder: Path, seed: int, what: int, values: list[int]) -> Points:
    source, digest, _ = prepared(folder, seed)
    for value in values:
        if not _starts(folder, what, value):
            continue
        store = folder / f"store-{value}"
        tool(folder, "asl-admin", "init", str(store))
        done = intake(folder, source, store, limits=((what, value),))
        assert "Traceback" not in done.stderr, f"limit {value}: {done.stderr[-1500:]}"
        assert done.returncode in CODES, f"limit {value}: it ended with {done.returncode}: {done.stderr[-300:]}"
        whole(folder, source, store, digest)
        yield f"limit {value}"


def without_descriptors(folder: Path, seed: int, rounds: int) -> Points:
    """No more than n descriptors, for n = 4, 5, 6 … from where the shell that starts a tool still starts."""
    return _limited(folder, seed, resource.RLIMIT_NOFILE, list(range(4, 44, max(1, 8 // rounds))))


def without_memory(folder: Path, seed: int, rounds: int) -> Points:
    """No more than so much address space."""
    return _limited(folder, seed, resource.RLIMIT_AS, [(24 << 20) + (at << 20) for at in range(0, 320, max(4, 64 // rounds))])


def files_too_large(folder: Path, seed: int, rounds: int) -> Points:
    """No file may be larger than so much (as a full quota is): writes fail in the middle of blocks."""
    return _limited(folder, seed, resource.RLIMIT_FSIZE, [at << 14 for at in range(1, 400, max(2, 64 // rounds))])


CLOCK = """
import random, sys, time
rng, real = random.Random(int(sys.argv.pop(1))), time.time
time.time = lambda: real() + rng.choice([-4e9, -86400, -1, 0, 1, 86400, 4e9])
time.time_ns = lambda: int(time.time() * 1e9)
sys.path.insert(0, sys.argv.pop(1))
from asl.cli import main
sys.exit(main(sys.argv[1], sys.argv[2:]))
"""


def clock_jumps(folder: Path, seed: int, rounds: int) -> Points:
    """The clock says another time at every look: the digest is the same, and nothing is lost."""
    source, digest, _ = prepared(folder, seed)
    for number in range(2 * rounds):
        store = folder / f"store-{number}"
        tool(folder, "asl-admin", "init", str(store))
        words = ["asl-intake", "--json", "--quiet", "run", f"tree:{source}", "--store", str(store)]
        done = subprocess.run(
            [sys.executable, "-B", "-c", CLOCK, str(seed + number), str(CHECKOUT / "overlay/usr/local/lib"), *words],
            env=environment(folder), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-600:] + done.stdout[-300:]
        assert json.loads(done.stdout)["digest"] == digest
        whole(folder, source, store, digest)
        yield f"round {number}"


KINDS: dict[str, Kind] = {
    each.__name__: each for each in (killed_at_random, two_writers, without_descriptors, without_memory, files_too_large, clock_jumps)
}
