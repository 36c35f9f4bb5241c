# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""fs:luks: what is refused before anything is opened. Opening real containers is tests/vm/test_rescue.py: it needs device mapper."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from asl.errors import Refused, Unavailable, Usage
from asl.sources.luks import LuksSource, container, key_file
from asl.sources.open import open_source

UUID = "9f1d6c9e-8c33-4d3a-9d0e-2f6d8a1b7c55"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A /run/asl in RAM."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        monkeypatch.setenv("ASL_RUN_DIR", folder)
        (Path(folder) / "keys").mkdir()
        yield Path(folder) / "keys"


def put(path: Path, mode: int = 0o600) -> str:
    path.write_text("secret")
    path.chmod(mode)
    return str(path)


def test_the_key_is_found_by_uuid_then_by_device(keys: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        key_file("fs:luks:/dev/sda3", UUID, "sda3")
    assert caught.value.reason == "LUKS_KEY_MISSING"
    assert f"{keys}/{UUID} or {keys}/sda3" in (caught.value.hint or "")
    device = put(keys / "sda3")
    assert key_file("x", UUID, "sda3") == device
    assert key_file("x", None, "sda3") == device
    assert key_file("x", UUID, "sda3") != put(keys / UUID)
    assert key_file("x", UUID, "sda3") == str(keys / UUID)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_others_could_read_is_refused(keys: Path, mode: int) -> None:
    put(keys / "sda3", mode)
    with pytest.raises(Refused) as caught:
        key_file("x", "sda3")
    assert caught.value.reason == "LUKS_KEY_UNSAFE"


def test_a_link_or_a_stranger_s_file_is_refused(keys: Path) -> None:
    os.symlink("/etc/hostname", keys / "sda3")
    with pytest.raises(Refused, match="is not a file that only root can read"):
        key_file("x", "sda3")
    if os.geteuid() == 0:
        os.chown(put(keys / "sdb1"), 1, 1)
        with pytest.raises(Refused, match="is not a file that only root can read"):
            key_file("x", "sdb1")


def test_a_key_on_a_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asl import system

    mount = system.mount_at(os.path.realpath(tmp_path), system.mounts())
    if mount is None or mount.fstype in ("tmpfs", "ramfs"):
        monkeypatch.setattr("asl.sources.luks._RAM", ())
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path))
    (tmp_path / "keys").mkdir()
    put(tmp_path / "keys" / "sda3")
    with pytest.raises(Refused, match="lies on a disk"):
        key_file("x", "sda3")


def image(path: Path, magic: bytes = b"LUKS\xba\xbe") -> str:
    """The start of a LUKS2 header (LUKS2 on-disk format, section 2.1)."""
    header = bytearray(1 << 20)
    header[:8] = magic + struct.pack(">H", 2)
    header[168 : 168 + len(UUID)] = UUID.encode()
    path.write_bytes(header)
    return str(path)


def test_containers(tmp_path: Path) -> None:
    assert container(image(tmp_path / "a"), "x") == UUID
    with pytest.raises(Usage) as caught:
        container(image(tmp_path / "b", b"ELSE\0\0"), "fs:luks:/dev/sda3")
    assert (caught.value.reason, caught.value.hint) == ("NOT_LUKS", "fs:/dev/sda3 mounts what is there")


def test_the_spelling(tmp_path: Path) -> None:
    path = image(tmp_path / "a")
    if os.geteuid() == 0:
        source = open_source(f"fs:luks:{path}")
        assert isinstance(source, LuksSource)
        assert source.device == path
    with pytest.raises(Usage):
        open_source("fs:luks:")
    with pytest.raises(Usage):
        open_source("fs:luks:relative")
    with pytest.raises(Usage) as missing:
        open_source("fs:luks:/dev/none")
    assert missing.value.reason == "SOURCE_NOT_FOUND"
