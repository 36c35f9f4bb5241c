# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed blocks: the same artifacts under the same digests, whatever the form in which they lie."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path
from typing import Any, Optional

import pytest
from unit.store.support import files

from asl.backends.posix import PosixReads
from asl.errors import Damaged, Unavailable, Unsupported
from asl.formats import artifact, block
from asl.kernel import zstd
from asl.names import Digest
from asl.store import check, frames, open_store, open_writer, packer
from asl.store.bulk import BulkCheck, Wanted
from asl.store.frames import Compression

ALWAYS, WORTH_IT = Compression(probe=False), Compression()


@pytest.fixture(autouse=True)
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    if zstd.find() is None:
        pytest.fail("libzstd is missing: apt-get install libzstd1")
    monkeypatch.setattr(frames, "FRAME", 10_000)


def payloads(seed: int, count: int = 30) -> list[bytes]:
    """Text that shrinks, from one byte to several frames."""
    rng = random.Random(seed)
    return [b"".join(rng.choice((b"alpha ", b"beta ", b"gamma ")) for _ in range(rng.randrange(1, 5000))) for _ in range(count)]


def encodings(root: str) -> set[int]:
    return {block.decode_header(path.read_bytes()).encoding for path in files(root, "blocks")}


@pytest.mark.parametrize("compression", [ALWAYS, WORTH_IT])
def test_what_is_compressed_is_read_as_it_was(root: str, compression: Compression) -> None:
    contents = payloads(1)
    with open_writer(root, block_size=150_000, compression=compression) as writer:
        digests = [writer.put(content, 7 if number % 3 == 0 else None) for number, content in enumerate(contents)]
        writer.commit()
        stored = writer.bytes_stored
    assert encodings(root) == {block.ZSTD}
    assert stored == sum(path.stat().st_size for path in files(root, "blocks")) < sum(map(len, contents)) // 2
    store = open_store(root)
    for number, (digest, content) in enumerate(zip(digests, contents)):
        assert digest == artifact.digest(content, 7 if number % 3 == 0 else None)
        assert store.get(digest).payload == content
    result = check.check(PosixReads(root))
    assert (result.ok, result.counts["artifacts"]) == (True, len(contents))


@pytest.mark.parametrize("compression", [None, ALWAYS])
def test_a_block_that_is_published_holds_no_memory(root: str, monkeypatch: pytest.MonkeyPatch, compression: Optional[Compression]) -> None:
    """Without the collector of cycles: it runs seldom where there is much to do."""
    made: list[weakref.ref[Any]] = []
    real = packer._OpenBlock

    def remembered(*args: Any) -> Any:
        block_made = real(*args)
        made.append(weakref.ref(block_made))
        return block_made

    monkeypatch.setattr(packer, "_OpenBlock", remembered)
    gc.disable()
    try:
        with open_writer(root, block_size=50_000, compression=compression) as writer:
            for content in payloads(4):
                writer.put(content)
            writer.commit()
            assert len(made) > 5 and [each() for each in made] == [None] * len(made)
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [1, 50_000, 79_995, 79_996, 600_000])
def test_a_block_that_is_not_worth_it_is_plain(root: str, size: int) -> None:
    """Whether it ends before, with or behind the last frame that is looked at."""
    content = random.Random(2).randbytes(size)
    with open_writer(root, compression=WORTH_IT) as writer:
        digest = writer.put(content)
        writer.commit()
    assert encodings(root) == {block.PLAIN}
    assert open_store(root).payload(digest) == content
    assert check.check(PosixReads(root)).ok


def test_an_archive_at_the_beginning_takes_no_block_from_the_rest(root: str) -> None:
    """Frames decide for themselves: what does not shrink costs next to nothing, what stands behind it shrinks."""
    noise, text = random.Random(6).randbytes((frames.LOOK - 1) * frames.FRAME - 100), payloads(6)
    with open_writer(root, compression=WORTH_IT) as writer:
        digests = [writer.put(noise), *(writer.put(each) for each in text), writer.put(noise[::-1])]
        writer.commit()
        stored = writer.bytes_stored
    assert encodings(root) == {block.ZSTD}
    assert stored < 2 * len(noise) + sum(map(len, text)) // 2
    store = open_store(root)
    assert [store.payload(each) for each in digests] == [noise, *text, noise[::-1]]
    assert check.check(PosixReads(root)).ok


def test_a_higher_level_stores_less(tmp_path: Path) -> None:
    from asl.store import init_store

    content, stored = b"".join(payloads(7)), []
    for level in (1, 19):
        init_store(str(tmp_path / str(level)))
        with open_writer(str(tmp_path / str(level)), compression=Compression(level)) as writer:
            digest = writer.put(content)
            writer.commit()
            stored.append(writer.bytes_stored)
        assert open_store(str(tmp_path / str(level))).payload(digest) == content
    assert stored[1] < 0.9 * stored[0]


def test_frames_of_a_killed_writer_are_taken_in(root: str) -> None:
    contents = payloads(3)
    with open_writer(root, block_size=100_000, compression=ALWAYS) as writer:
        for content in contents:
            writer.put(content)
        writer._packer.flush()
    with open_writer(root) as writer:
        assert writer.adopted == len(contents)
        assert all(not writer.add(artifact.digest(content), content) for content in contents)
        writer.commit()
    assert open_store(root).payload(artifact.digest(contents[5])) == contents[5]


def test_a_damaged_frame_is_said_and_the_others_are_read(root: str) -> None:
    contents = payloads(4)
    with open_writer(root, compression=ALWAYS) as writer:
        digests = [writer.put(content) for content in contents]
        writer.commit()
    (path,) = files(root, "blocks")
    data = bytearray(path.read_bytes())
    data[block.HEADER.size + 20] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    store, bad = open_store(root), []
    with BulkCheck(store, lambda wanted, _: bad.append(wanted.digest), jobs=2) as bulk:
        for digest, content in zip(digests, contents):
            bulk.add(Wanted(Digest(digest), len(content)))
    assert digests[0] in bad
    assert len(bad) < len(digests)
    for digest, content in zip(digests, contents):
        if digest in bad:
            with pytest.raises(Damaged):
                store.payload(digest)
        else:
            assert store.payload(digest) == content


def test_a_host_without_libzstd_is_told_so(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_writer(root, compression=ALWAYS) as writer:
        digest = writer.put(b"text " * 5000)
        writer.commit()
    monkeypatch.setattr(zstd, "find", lambda: None)
    with pytest.raises(Unsupported, match="no libzstd") as caught:
        open_store(root).payload(digest)
    assert caught.value.reason == "NO_ZSTD"
    assert "libzstd1" in str(caught.value.hint)
    with pytest.raises(Unavailable, match="no libzstd") as refused:
        open_writer(root, compression=ALWAYS)
    assert refused.value.reason == "NO_ZSTD"


@pytest.mark.parametrize("frame_size", [0, 8_000, 20_000])
def test_a_frame_table_that_does_not_fit_is_damage(frame_size: int) -> None:
    header = block.Header(encoding=block.ZSTD, frame_size=frame_size)
    with pytest.raises(Damaged, match="frames"):
        block.check_frames(header, block.Trailer(25_000, 300, 3, 0, 0), (100, 100, 100))


def test_equal_chunks_give_equal_snapshots_with_and_without(tmp_path: Path) -> None:
    """Nothing of the form of blocks is in a digest."""
    from unit.intake.support import grow, intake

    from asl.store import init_store

    tree, digests = grow(tmp_path / "tree"), set()
    for compression, level in (("off", 2), ("zstd", 2), ("auto", 2), ("auto", 9)):
        store = str(tmp_path / f"{compression}{level}")
        init_store(store)
        digests.add(intake(tree, store, block_compression=compression, block_level=level)["digest"])
    assert len(digests) == 1
