# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posix backend: what backends.base promises, on real files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asl.backends import layout, posix
from asl.backends.posix import Posix, PosixReads
from asl.errors import AslError, Conflict, NotFound, Unavailable
from asl.names import BlockID

NAME = layout.block(b"\xab" * 32)
LIBRARY = Path(__file__).resolve().parents[3] / "overlay" / "usr" / "local" / "lib"


@pytest.fixture
def backend(tmp_path: Path) -> Posix:
    return Posix.make(str(tmp_path / "store"))


def test_large_blocks_leave_the_page_cache_and_the_index_stays(backend: Posix, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is not soon read again, but for a segment: it is looked into at once."""
    told: set[int] = set()
    advise = os.posix_fadvise

    def noted(fd: int, at: int, length: int, advice: int) -> None:
        told.update([os.fstat(fd).st_ino] if advice == os.POSIX_FADV_DONTNEED else [])
        advise(fd, at, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    names = {NAME: posix.FORGET, layout.block(b"\xcd" * 32): posix.FORGET - 1, layout.segment(1): posix.FORGET, layout.LOG: posix.FORGET}
    for name, size in names.items():
        backend.create(name, bytes(size))
    assert [name for name in names if os.stat(str(backend.path(name))).st_ino in told] == [NAME]


def leftovers(backend: Posix) -> list[str]:
    return list(backend.names("tmp"))


def test_names_lead_to_objects_and_back() -> None:
    block_id = BlockID(bytes(range(32)))
    assert layout.parse_block(layout.block(block_id)) == block_id
    assert layout.parse_number(layout.segment(7)) == layout.parse_number(layout.snapshot(7)) == 7
    assert layout.parse_number(layout.segment(10**13)) == 10**13
    assert sorted([layout.segment(999_999_999_999), layout.segment(2)]) == [layout.segment(2), layout.segment(999_999_999_999)]
    tail = "0" * 62
    for wrong in (f"blocks/ab/cd{tail}", f"blocks/ab/ab{tail}"[:-1], f"blocks/AB/AB{tail}", "../etc/passwd", f"blocks/ab/ab{tail}\n"):
        assert layout.parse_block(wrong) is None
    for wrong in ("segments/1", "segments/00000000000x", "logs/000000000001", "segments/000000000001.tmp"):
        assert layout.parse_number(wrong) is None


def test_an_object_is_invisible_until_published_and_whole_then(backend: Posix) -> None:
    staged = backend.stage()
    staged.write(b"one ")
    staged.write(memoryview(b"two"))
    assert list(backend.names("blocks")) == []
    staged.publish(NAME)
    backend.barrier()
    assert list(backend.names("blocks")) == [NAME]
    assert (backend.read(NAME), backend.read(NAME, 4), backend.read(NAME, 1, 2)) == (b"one two", b"two", b"ne")
    assert (backend.read(NAME, 5, 100), backend.read(NAME, 7)) == (b"wo", b"")
    assert backend.size(NAME) == 7
    assert leftovers(backend) == []
    assert os.stat(str(backend.path(NAME))).st_mode & 0o777 == 0o444


def test_what_is_large_and_durable_does_not_stay_in_the_page_cache(backend: Posix, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    advise = os.posix_fadvise

    def noted(fd: int, at: int, length: int, advice: int) -> None:
        told.append((os.fstat(fd).st_size, at, length, advice))
        advise(fd, at, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    for size, name in ((100, "blocks/ab/ab" + "0" * 62), (posix.FORGET, "blocks/ab/ab" + "1" * 62)):
        staged = backend.stage()
        staged.write(bytes(size))
        staged.publish(name)
        assert backend.read(name) == bytes(size)
    assert told == [(posix.FORGET, 0, 0, os.POSIX_FADV_DONTNEED)]


def test_a_name_is_given_once(backend: Posix) -> None:
    backend.create(NAME, b"first")
    with pytest.raises(Conflict):
        backend.create(NAME, b"second")
    assert backend.read(NAME) == b"first"
    assert leftovers(backend) == []


def test_of_many_that_publish_one_wins(backend: Posix) -> None:
    won: list[int] = []

    def publish(number: int) -> None:
        try:
            Posix(backend.root).create(NAME, bytes([number]) * 1000)
        except Conflict:
            return
        won.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert backend.read(NAME) == bytes([won[0]]) * 1000


def test_what_is_dropped_leaves_nothing(backend: Posix) -> None:
    staged = backend.stage()
    staged.write(b"x")
    staged.drop()
    staged.drop()
    assert leftovers(backend) == []


def test_what_is_not_there_is_not_found(backend: Posix) -> None:
    for call in (lambda: backend.read(NAME), lambda: backend.size(NAME), lambda: list(backend.names("nowhere"))):
        with pytest.raises(NotFound):
            call()


def test_the_log_grows_only_where_it_ends(backend: Posix) -> None:
    backend.create(layout.LOG, b"head")
    with backend.lock():
        backend.append(layout.LOG, b"one", 4)
        backend.append(layout.LOG, b"", 7)
        for at in (4, 6, 8):
            with pytest.raises(Conflict):
                backend.append(layout.LOG, b"two", at)
    assert backend.read(layout.LOG) == b"headone"


def test_a_torn_tail_is_cut_and_kept(backend: Posix) -> None:
    backend.create(layout.LOG, b"good|torn")
    with backend.lock():
        backend.cut(layout.LOG, 5)
        backend.sweep()
    assert backend.read(layout.LOG) == b"good|"
    assert [backend.read(name) for name in leftovers(backend)] == [b"torn"]


def test_the_head_is_replaced_as_a_whole(backend: Posix) -> None:
    backend.replace_head(b"one")
    backend.replace_head(b"two")
    assert backend.read(layout.HEAD) == b"two"
    assert leftovers(backend) == []


STAGES = """
import sys
from asl.backends.posix import Posix
staged = Posix(sys.argv[1]).stage()
staged.write(b"half an object")
print("staged", flush=True)
sys.stdin.read()
"""


def test_a_sweep_takes_what_the_dead_left_and_nothing_of_the_living(backend: Posix) -> None:
    argv = [sys.executable, "-B", "-c", STAGES, backend.root]
    env = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    living, dead = (subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2))
    for process in (living, dead):
        assert process.stdout and process.stdout.readline() == "staged\n"
    dead.kill()
    dead.wait()
    assert len(leftovers(backend)) == 2
    with backend.lock():
        assert backend.sweep() == 1
    assert len(leftovers(backend)) == 1
    living.kill()
    living.wait()
    with backend.lock():
        assert backend.sweep() == 1
    assert leftovers(backend) == []


HOLDS = """
import sys
from asl.backends.posix import Posix
with Posix(sys.argv[1]).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_the_lock_holds_others_off_and_ends_with_its_holder(backend: Posix) -> None:
    argv, env = [sys.executable, "-B", "-c", HOLDS, backend.root], {**os.environ, "PYTHONPATH": str(LIBRARY)}
    holder = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "locked\n"
    got = threading.Event()

    def take() -> None:
        with Posix(backend.root).lock():
            got.set()

    waiting = threading.Thread(target=take)
    waiting.start()
    assert not got.wait(0.2)
    holder.kill()
    holder.wait()
    waiting.join()
    assert got.is_set()


def test_a_limit_on_the_size_of_files_is_a_sentence(backend: Posix) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(Unavailable, match="cannot write: file too large") as caught:
            backend.create(NAME, bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.reason == "FILE_TOO_LARGE"
    assert leftovers(backend) == [] == list(backend.names("blocks"))


def test_an_error_of_the_body_is_not_called_one_of_the_lock(backend: Posix) -> None:
    with pytest.raises(OSError, match="of the body"), backend.lock():
        raise OSError("of the body")


def test_folders_that_cannot_be_made_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AslError, match="not a directory"):
        Posix.make(str(tmp_path / "file" / "store"))


def test_reading_needs_no_right_to_write(backend: Posix) -> None:
    backend.create(NAME, b"x")
    reads = PosixReads(backend.root)
    assert reads.read(NAME) == b"x"
    assert not [name for name in ("create", "append", "lock", "sweep", "cut") if hasattr(reads, name)]
