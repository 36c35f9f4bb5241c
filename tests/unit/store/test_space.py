# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No space, no right, a failing disk: a sentence with a reason, nothing half visible, and no way on but to open anew."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.store.support import files, put, seal

from asl.backends import posix
from asl.errors import Unavailable
from asl.formats import artifact, records
from asl.store import init_store, open_store, open_writer

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[str]:
    """A file system of 2 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "asl-test", str(place)], check=True)
    yield str(place)
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@needs_root
def test_a_full_disk_is_said_and_what_was_acknowledged_stays(small_disk: str) -> None:
    root = f"{small_disk}/store"
    init_store(root)
    (kept,) = put(root, b"acknowledged")
    with open_writer(root, block_size=100_000) as writer:
        with pytest.raises(Unavailable, match="no space left on device") as caught:
            for number in range(60):
                writer.put(random.Random(number).randbytes(50_000))
        assert caught.value.reason == "NO_SPACE"
        assert "free space" in str(caught.value.hint)
        with pytest.raises(Unavailable) as again:
            writer.put(b"small")
        assert again.value.reason == "STORE_BROKEN"
    assert open_store(root).payload(kept) == b"acknowledged"
    assert files(root, "tmp") == []


@needs_root
def test_after_space_was_made_the_same_work_goes_on(small_disk: str) -> None:
    ballast = Path(small_disk) / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    root = f"{small_disk}/store"
    init_store(root)
    payloads = [random.Random(number).randbytes(50_000) for number in range(25)]
    with open_writer(root, block_size=100_000) as writer, pytest.raises(Unavailable):
        for payload in payloads:
            writer.put(payload)
    ballast.unlink()
    stored = len(files(root, "blocks"))
    assert stored > 3
    with open_writer(root, block_size=100_000) as writer:
        assert 0 < writer.adopted <= stored
        for payload in payloads:
            writer.put(payload)
        writer.commit()
    assert all(open_store(root).payload(artifact.digest(payload)) == payload for payload in payloads)
    assert len(files(root, "blocks")) == 25


@needs_root
def test_a_disk_that_is_full_at_the_log_leaves_a_torn_tail_and_no_more(small_disk: str) -> None:
    root = f"{small_disk}/store"
    init_store(root)
    with open_writer(root) as writer:
        seal(writer, "kept")
        fill = Path(small_disk) / "fill"
        with fill.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
            while True:
                file.write(bytes(4096))
        with pytest.raises(Unavailable) as caught:
            for number in range(100):
                writer.record(records.SNAPSHOT_PIN, records.encode_number(number))
        assert caught.value.reason == "NO_SPACE"
    fill.unlink()
    with open_writer(root) as writer:
        assert len(writer.state.snapshots or open_store(root).snapshots()) == 1
        assert seal(writer, "next").id == 2


def fails(call: str, error: int, after: int = 0) -> Callable[..., Any]:
    """`os` for the backend, in which CALL fails from its AFTER-th time on."""

    class Failing:
        times = 0

        def __getattr__(self, name: str) -> Any:
            if name != call:
                return getattr(os, name)

            def failing(*words: Any, **more: Any) -> Any:
                self.times += 1
                if self.times > after:
                    raise OSError(error, os.strerror(error))
                return getattr(os, call)(*words, **more)

            return failing

    return Failing()  # type: ignore[return-value]


@pytest.mark.parametrize("after", range(8))
def test_a_failed_sync_is_final_for_the_writer(root: str, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The kernel may have dropped the pages and call the next sync a success (fsync(2)): nothing more may be promised."""
    (kept,) = put(root, b"acknowledged")
    with open_writer(root) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(posix, "os", fails("fsync", 5, after))
            with pytest.raises(Unavailable, match="input/output error") as caught:
                for number in range(9):
                    writer.put(b"lost %d" % number)
                    writer.commit()
            assert caught.value.reason == "IO_ERROR"
        for call in (writer.commit, lambda: writer.put(b"more"), lambda: seal(writer), lambda: writer.record(0x7FFF0001, b"")):
            with pytest.raises(Unavailable, match="open it anew") as again:
                call()
            assert again.value.reason == "STORE_BROKEN"
            assert again.value.__cause__ is caught.value
    with open_writer(root) as writer:
        assert writer.payload(kept) == b"acknowledged"
        assert writer.commit().position.logseq >= 1


FAILURES = [("link", 30, "READ_ONLY"), ("write", 28, "NO_SPACE"), ("link", 1, "PERMISSION"), ("open", 13, "PERMISSION")]


@pytest.mark.parametrize(("call", "error", "reason"), FAILURES)
def test_the_reason_of_a_failure_has_a_code(root: str, monkeypatch: pytest.MonkeyPatch, call: str, error: int, reason: str) -> None:
    with open_writer(root) as writer:
        monkeypatch.setattr(posix, "os", fails(call, error))
        with pytest.raises(Unavailable) as caught:
            writer.put(b"x")
            writer.commit()
        assert caught.value.reason == reason
        monkeypatch.undo()
    assert files(root, "blocks") == files(root, "segments") == []
