# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""device: and stream: as runs of bytes."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from asl.errors import Unavailable, Usage
from asl.sources.base import DATA, HOLE, Source
from asl.sources.open import open_source

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")


def content_of(source: Source) -> tuple[bytes, list[int]]:
    data, kinds = bytearray(), []
    with source:
        content = source.content()
        for piece in content.pieces():
            kinds.append(piece.kind)
            data += bytes(piece.data) if piece.data is not None else bytes(piece.length)
        assert content.size in (None, len(data))
    return bytes(data), kinds


def test_an_image_file_keeps_its_holes(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.write(os.urandom(4096))
        file.truncate(20 << 20)
        file.seek(10 << 20)
        file.write(os.urandom(3 << 20))
    source = open_source(f"device:{image}")
    data, kinds = content_of(source)
    assert data == image.read_bytes() and kinds.count(HOLE) == 2
    assert source.kind == "device" and source.root_kind == "recipe" and not source.losses
    assert source.estimate() == image.stat().st_blocks * 512


def test_an_image_of_odd_length_is_read_to_its_last_byte(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(os.urandom((1 << 20) + 777))
    assert content_of(open_source(f"device:{image}"))[0] == image.read_bytes()


def test_an_image_that_changes_is_a_loss(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"a" * (3 << 20))
    source = open_source(f"device:{image}")
    with source:
        pieces = source.content().pieces()
        next(pieces)
        with image.open("r+b") as file:
            file.truncate(1 << 20)
        assert sum(piece.length for piece in pieces) == 0
    assert [loss.what for loss in source.losses] == ["changed"]


@needs_root
def test_a_block_device_tells_its_size_and_what_it_is(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(os.urandom(5 << 20))
    loop = subprocess.run(["losetup", "-r", "-f", "--show", str(image)], check=True, capture_output=True, text=True).stdout.strip()
    try:
        source = open_source(f"device:{loop}")
        assert content_of(source)[0] == image.read_bytes()
        with source:
            told = source.details()
            assert source.estimate() == 5 << 20
        assert (told["size"], told["sector_size"], told["device"], told["image"]) == (5 << 20, 512, loop, str(image))
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@needs_root
def test_a_device_without_a_medium_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    attach = ["losetup", "-r", "-f", "--show", str(tmp_path / "empty")]
    loop = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        with pytest.raises(Unavailable) as error, open_source(f"device:{loop}"):
            pass
        assert error.value.reason == "NO_MEDIUM"
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@pytest.mark.parametrize(
    "spec", ["device:/dev/null", "device:/tmp", "device:/does/not/exist", "fs:/tmp", "stream:/tmp", "stream:/does/not/exist"]
)
def test_a_wrong_kind_of_file_is_a_usage_error(spec: str) -> None:
    with pytest.raises(Usage) as error:
        open_source(spec)
    assert error.value.reason in ("SOURCE_KIND", "SOURCE_NOT_FOUND") and spec in error.value.message


def test_a_run_of_bytes_is_no_tree_and_a_tree_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(Usage, match="is no tree"):
        open_source(f"device:{tmp_path / 'f'}").walk()
    with pytest.raises(Usage, match="not one run of bytes"):
        open_source(f"tree:{tmp_path}").content()


def test_a_fifo_is_read_to_its_end(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    sent = os.urandom(300_001)
    writer = threading.Thread(target=lambda: fifo.write_bytes(sent))
    writer.start()
    source = open_source(f"stream:{fifo}")
    data, kinds = content_of(source)
    writer.join()
    assert data == sent and set(kinds) == {DATA} and source.estimate() is None


def test_a_file_can_be_a_stream(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 1000)
    source = open_source(f"stream:{tmp_path / 'f'}")
    assert source.estimate() == 3000
    assert content_of(source)[0] == b"abc" * 1000


def test_standard_input_is_a_stream() -> None:
    program = (
        "from asl.sources.open import open_source\n"
        "with open_source('stream:-') as s: print(sum(p.length for p in s.content().pieces()), s.spec, s.kind)"
    )
    library = Path(__file__).parents[3] / "overlay/usr/local/lib"
    import sys

    done = subprocess.run(
        [sys.executable, "-B", "-c", program], input=b"z" * 100_000, capture_output=True, check=True, env={"PYTHONPATH": str(library)}
    )
    assert done.stdout == b"100000 stream:- stream\n"


def test_a_stream_that_breaks_says_where() -> None:
    # Reading unmapped memory of our own process is an input/output error by the kernel, at once.
    source = open_source("stream:/proc/self/mem")
    assert content_of(source) == (b"", [])
    assert [loss.document() for loss in source.losses] == [
        {"what": "unread", "where": "stream:/proc/self/mem: everything behind byte 0", "why": "Input/output error"}
    ]
