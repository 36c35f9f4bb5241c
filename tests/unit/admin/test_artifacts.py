# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl-admin put, get, tombstone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from unit.admin.support import damage, text, tool

from asl.cli import main
from asl.errors import Unavailable
from asl.formats import artifact, block
from asl.names import parse_reference, reference_text
from asl.store import init_store, open_store, open_writer, raw
from asl.store.check import check
from asl.store.large import put_file
from asl.store.writer import LARGE

Capture = pytest.CaptureFixture[str]
SIZES = [0, 1, 1000, LARGE - 1, LARGE, 2 * LARGE + 77]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    init_store(str(tmp_path / "store"))
    return tmp_path / "store"


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_comes_back(tmp_path: Path, store: Path, capsys: Capture, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(size))
    code, document = tool(capsys, "admin", "put", str(path), "--store", str(store))
    assert (code, document["size"], document["changed"], document["type_tag"]) == (0, size, True, None)
    assert document["reference"] == reference_text(artifact.digest(content(size)))
    assert tool(capsys, "admin", "put", str(path), "--store", str(store))[1]["changed"] is False
    assert open_store(str(store)).payload(parse_reference(document["reference"])) == content(size)
    code, got = tool(capsys, "admin", "get", document["reference"], "--output", str(tmp_path / "back"), "--store", str(store))
    assert (code, got["size"], got["output"]) == (0, size, str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content(size)
    assert check(raw(str(store))).ok


def test_a_type_tag_makes_another_artifact(tmp_path: Path, store: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    words = ("put", str(tmp_path / "file"), "--store", str(store))
    plain, tagged = tool(capsys, "admin", *words)[1], tool(capsys, "admin", *words, "--type-tag", "0x10")[1]
    assert tagged == {"reference": reference_text(artifact.digest(b"abc", 16)), "size": 3, "type_tag": 16, "changed": True}
    assert plain["reference"] != tagged["reference"]
    for wrong in ("-1", "x", "4294967296"):
        code, document = tool(capsys, "admin", *words, f"--type-tag={wrong}")
        assert (code, document["reason"]) == (2, "BAD_TYPE_TAG")


def test_put_prints_the_reference_and_nothing_else(tmp_path: Path, store: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert text(capsys, "admin", "put", str(tmp_path / "file"), "--store", str(store)) == (
        0,
        reference_text(artifact.digest(b"abc")) + "\n",
    )


@pytest.mark.parametrize("size", [5, 9 << 20])
def test_standard_input_of_any_size(store: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content(size))))
    document = tool(capsys, "admin", "put", "-", "--store", str(store))[1]
    assert document["reference"] == reference_text(artifact.digest(content(size)))


def test_a_named_pipe_is_spooled(tmp_path: Path, store: Path, capsys: Capture) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"through a pipe",))
    writer.start()
    document = tool(capsys, "admin", "put", str(tmp_path / "pipe"), "--store", str(store))[1]
    writer.join()
    assert document["reference"] == reference_text(artifact.digest(b"through a pipe"))


def test_put_of_what_cannot_be_put(tmp_path: Path, store: Path, capsys: Capture) -> None:
    assert tool(capsys, "admin", "put", str(tmp_path), "--store", str(store))[0] == 2
    code, document = tool(capsys, "admin", "put", str(tmp_path / "nothing"), "--store", str(store))
    assert (code, document["reason"]) == (4, "NOT_FOUND")


class Changing(io.BytesIO):
    """A file that another process changes between two readings."""

    readings = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset == 0:
            self.readings += 1
            if self.readings == 2:
                self.getbuffer()[100] ^= 1
        return super().seek(offset, whence)


def test_a_file_that_changes_while_it_is_read_is_not_stored(store: Path) -> None:
    file = Changing(content(LARGE + 5))
    before = artifact.digest(content(LARGE + 5))
    with open_writer(str(store)) as writer:
        with pytest.raises(Unavailable) as raised:
            put_file(writer, file)
        assert raised.value.reason == "SOURCE_CHANGED"
        after = artifact.digest(file.getvalue())
        writer.commit()
    assert before != after
    assert not open_store(str(store)).has(before) and not open_store(str(store)).has(after)
    with open_writer(str(store)) as writer:
        writer.commit()
        assert not writer.has(before)
    assert check(raw(str(store))).ok


def test_memory_stays_small_for_large_files(tmp_path: Path, store: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(160 << 20)
    tool_path = Path(__file__).resolve().parents[3] / "overlay/usr/local/bin/asl-admin"
    argv = [sys.executable, "-B", str(tool_path), "put", str(tmp_path / "big"), "--store", str(store), "--json"]
    # Between fork and exec a child counts as large as its parent, so a small process starts it and asks for its peak.
    launcher = (
        "import os, subprocess, sys; child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "_, status, usage = os.wait4(child.pid, 0); print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", launcher, *argv], capture_output=True, text=True, check=True)
    code, peak = (int(word) for word in done.stdout.split())
    assert code == 0
    assert peak < 128 << 10


def test_get_to_standard_output(store: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_writer(str(store)) as writer:
        digest = writer.put(content(100_000))
        writer.commit()
    assert main("asl-admin", ["get", reference_text(digest), "--store", str(store)]) == 0
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == content(100_000)


def test_get_never_overwrites_and_leaves_nothing_when_it_fails(tmp_path: Path, store: Path, capsys: Capture) -> None:
    with open_writer(str(store)) as writer:
        digest = writer.put(content(100_000))
        writer.commit()
    words = ("get", reference_text(digest), "--output", str(tmp_path / "out/file"), "--store", str(store))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/file").write_bytes(b"mine")
    code, document = tool(capsys, "admin", *words)
    assert (code, document["reason"], (tmp_path / "out/file").read_bytes()) == (3, "EXISTS", b"mine")
    (tmp_path / "out/file").unlink()
    place = open_store(str(store)).locate(digest)[0]
    damage(store, place.block, block.HEADER.size + place.offset + 500)
    code, document = tool(capsys, "admin", *words)
    assert (code, document["reason"]) == (5, "DAMAGED_ARTIFACT")
    assert list((tmp_path / "out").iterdir()) == []


def test_get_of_what_is_not_there(store: Path, capsys: Capture, tmp_path: Path) -> None:
    out = ("--output", str(tmp_path / "out"), "--store", str(store))
    assert tool(capsys, "admin", "get", "00" * 32, *out)[1]["reason"] == "NOT_FOUND"
    assert tool(capsys, "admin", "get", "xyz", *out)[1]["reason"] == "BAD_REFERENCE"
    assert tool(capsys, "admin", "get", "00" * 32, "--store", str(store))[0] == 2


def test_a_tombstone_hides_until_it_is_lifted(store: Path, capsys: Capture) -> None:
    with open_writer(str(store)) as writer:
        digest = writer.put(b"secret")
        writer.commit()
    reference, words = reference_text(digest), ("--store", str(store))
    for lift, hidden in ((), True), (("--lift",), False):
        for changed in (True, False):
            code, document = tool(capsys, "admin", "tombstone", reference, *lift, *words)
            assert (code, document) == (0, {"reference": reference, "hidden": hidden, "changed": changed})
        assert open_store(str(store)).has(digest) is not hidden
    assert tool(capsys, "admin", "tombstone", "00" * 32, *words)[1]["reason"] == "NOT_FOUND"
