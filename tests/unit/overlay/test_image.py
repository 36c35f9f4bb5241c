# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of an overlay: what laying it gives, owned by root, the same bytes every time."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from unit.overlay.support import OVERLAY

from asl.errors import Usage
from asl.overlay import bundle, image
from asl.overlay.__main__ import main
from asl.overlay.bundle import Bundle


@pytest.fixture
def packed(tmp_path: Path) -> Bundle:
    for machine in ("x86_64", "aarch64"):
        library = tmp_path / "native" / machine / "libasl.so"
        library.parent.mkdir(parents=True)
        library.write_bytes(machine.encode())
    return bundle.collect(OVERLAY, tmp_path / "native")


def made(packed: Bundle, config: dict[str, bytes] | None = None, machine: str = "x86_64", *, enable: bool = True) -> bytes:
    target = io.BytesIO()
    image.write(packed, config or {}, machine, target, enable=enable)
    return target.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar.getmembers()}


def test_the_same_overlay_gives_the_same_bytes_whatever_the_checkout_looks_like(packed: Bundle, tmp_path: Path) -> None:
    before = made(packed)
    for path in packed.files.values():
        if path.is_relative_to(tmp_path):
            os.utime(path, (1, 1))
    assert made(packed) == before


def test_everything_belongs_to_root_and_has_one_time(packed: Bundle) -> None:
    found = members(made(packed))
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found.values()} == {(0, 0, "root", 0)}
    assert found["usr/local/bin/asl-intake"].mode == 0o755
    assert found["var/lib/asl/runtime"].mode == 0o700
    assert list(found) == sorted(found)
    assert not [name for name in found if name == "run" or name.startswith("run/")]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_machine_gets_its_own_library(packed: Bundle, machine: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(made(packed, machine=machine))) as tar:
        library = tar.extractfile("usr/local/lib/libasl.so")
        assert library and library.read() == machine.encode()
    assert image.machines(packed) == ["aarch64", "x86_64"]


def test_a_machine_without_a_library_gets_none(packed: Bundle) -> None:
    assert "usr/local/lib/libasl.so" not in members(made(packed, machine="riscv64"))


def test_units_are_wanted_only_when_asked(packed: Bundle) -> None:
    wants = "etc/systemd/system/multi-user.target.wants"
    links = {name: member.linkname for name, member in members(made(packed)).items() if member.issym()}
    assert links == {f"{wants}/{name}": f"/etc/systemd/system/{name}" for name in ("asl-intake.service", "asl-preflight.service")}
    assert wants not in members(made(packed, enable=False))


@pytest.mark.parametrize(("name", "text"), [("asl.conf", b"no such key = 1\n"), ("../passwd", b""), ("other.conf", b"")])
def test_a_configuration_that_could_not_be_read_is_refused(packed: Bundle, name: str, text: bytes) -> None:
    with pytest.raises(Usage) as refused:
        made(packed, {name: text})
    assert refused.value.reason == "CONFIG_INVALID"


def test_laying_the_same_overlay_on_a_root_made_of_it_finds_only_what_is_volatile(
    packed: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"asl.conf": b"mode = local\n"}
    root, unpacked = tmp_path / "root", tmp_path / "bundle"
    with tarfile.open(fileobj=io.BytesIO(made(packed, config, bundle.machine()))) as tar:
        tar.extraction_filter = getattr(tarfile, "tar_filter", None)  # came with Python 3.11.4
        tar.extractall(root)
    with (tmp_path / "bundle.tar.gz").open("wb") as file:
        bundle.write(packed, file)
    with tarfile.open(tmp_path / "bundle.tar.gz") as tar:
        tar.extraction_filter = getattr(tarfile, "tar_filter", None)  # came with Python 3.11.4
        tar.extractall(unpacked)
    (tmp_path / "asl.conf").write_bytes(config["asl.conf"])
    (root / "run").mkdir()
    argv = ["lay", "--bundle", str(unpacked), "--root", str(root), "--conf", f"asl.conf={tmp_path / 'asl.conf'}", "--no-services"]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()[:-1]
    assert sorted(lines) == [f"create directory /run/asl{name}" for name in ("", "/bytecode", "/sockets")]
