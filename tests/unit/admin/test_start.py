# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the start of a tool costs, and its end: a command imports what it needs and no more, and is not taken apart piece by piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asl.store import init_store

BIN = Path(__file__).parents[3] / "overlay/usr/local/bin"
LIBRARY = BIN.parent / "lib"
# HTTPS and TLS, pools of threads, other programs, what says where an unforeseen error came from; dataclasses brings a compiler's parts,
# shutil compressors, pathlib the parser of URLs. And of the engine what only those need who write, merge, look into folders, have peers.
HEAVY = {
    "ssl", "http.client", "concurrent.futures.thread", "traceback", "subprocess", "tempfile", "dataclasses", "shutil", "pathlib", "locale",
    "asl.backends.https", "asl.formats.attestation", "asl.store.writer", "asl.store.peers", "asl.kernel.merging", "asl.kernel.files",
}  # fmt: skip


@pytest.mark.parametrize("words", [("asl-admin", "status"), ("asl-admin", "snapshots"), ("asl-debug", "log")])
def test_a_store_in_a_directory_is_opened_without_what_only_others_need(tmp_path: Path, words: tuple[str, str]) -> None:
    store = str(tmp_path / "store")
    init_store(store)
    # Without site: what it imports is the machine's affair.
    argv = [sys.executable, "-S", "-B", "-X", "importtime", str(BIN / words[0]), words[1], "--store", store]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "asl.store" in imported
    # What checks a store is only used by people, now and then.
    assert imported & HEAVY <= ({"dataclasses", "asl.store.peers"} if words[0] == "asl-debug" else set())


def test_an_intake_of_a_tree_asks_for_nothing_of_disks(tmp_path: Path) -> None:
    store, tree = str(tmp_path / "store"), tmp_path / "tree"
    init_store(store)
    tree.mkdir()
    argv = [sys.executable, "-S", "-B", "-X", "importtime", str(BIN / "asl-intake"), "run", f"tree:{tree}", "--store", store]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "asl.intake.run" in imported
    assert imported & {"dataclasses", "subprocess", "socket", "asl.survey", "asl.hits", "asl.restore", "asl.sources.device"} == set()


LEAVES = f"""
import atexit, sys, threading
sys.path.insert(0, {str(LIBRARY)!r})
from asl.cli import leave
atexit.register(print, "registered")
print("said", "x" * 200_000)
if "thread" in sys.argv:
    threading.Thread(target=lambda: print("thread", sys.stdin.read())).start()
leave(3)
"""


@pytest.mark.parametrize(("words", "said"), [((), []), (("thread",), ["thread", "ended"])])
def test_leaving_loses_nothing(words: tuple[str, ...], said: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVES, *words], input="ended", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.split() == ["said", "x" * 200_000, *said, "registered"]


def test_an_output_without_room_is_a_sentence(tmp_path: Path) -> None:
    init_store(str(tmp_path / "store"))
    argv = [sys.executable, str(BIN / "asl-admin"), "status", "--store", str(tmp_path / "store")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    said = "asl-admin: the answer cannot be written to standard output: No space left on device [NO_SPACE]\n  next: "
    assert done.stderr.startswith(said)


def test_nobody_has_to_listen(tmp_path: Path) -> None:
    init_store(str(tmp_path / "store"))
    command = f"{BIN}/asl-admin status --store {tmp_path}/store >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    init_store(store)
    argv = [sys.executable, str(BIN / "asl-admin"), "status", "--store", store]
    tool = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert tool.stdout is not None and tool.stderr is not None
    tool.stdout.close()
    with tool.stderr as said:
        assert said.read() == b""
    assert tool.wait() == 0
