# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store on a file system that came over the network: tried with a real SSHFS, and with one that cannot hold a store."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from integration.support import Machine, differences

SFTP = "/usr/lib/openssh/sftp-server"


@contextlib.contextmanager
def mounted(argv: Sequence[str], at: Path) -> Iterator[Path]:
    """A FUSE file system, for as long as this lasts. ARGV mounts it in the foreground."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 60
        while not os.path.ismount(at):
            assert process.poll() is None and time.monotonic() < end, process.stderr and process.stderr.read()
            time.sleep(0.05)
        yield at
    finally:
        subprocess.run(["fusermount3", "-uz", str(at)], check=False)
        process.wait(30)


@pytest.fixture
def sshfs(tmp_path: Path) -> Iterator[Path]:
    """An SSHFS whose other end is an SFTP server on this machine: only the transport is left out."""
    far, near, ssh = tmp_path / "far", tmp_path / "near", tmp_path / "ssh"
    far.mkdir()
    near.mkdir()
    ssh.write_text(f"#!/bin/sh\nexec {SFTP}\n")
    ssh.chmod(0o755)
    with mounted(["sshfs", "-f", "-o", f"ssh_command={ssh}", f"nobody@nowhere:{far}", str(near)], near) as found:
        yield found


@pytest.fixture
def no_links(tmp_path: Path) -> Iterator[Path]:
    """A real file system without hard links."""
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.mkdir()
    rclone = Path(sys.executable).with_name("rclone")
    argv = [str(rclone), "mount", "--vfs-cache-mode", "writes", "--cache-dir", str(tmp_path / "cache"), str(far), str(near)]
    with mounted(argv, near) as found:
        yield found


def source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "file").write_bytes(random.Random(3).randbytes(2 << 20))
    return folder


def remote(place: Path) -> list[str]:
    return ["--set", "mode=remote", "--set", f"remote.mount={place}"]


def test_an_sshfs_holds_a_store(sshfs: Path, tmp_path: Path) -> None:
    """By configuration alone: remote mode, and remote.mount says where."""
    machine, data = Machine(tmp_path / "host"), source(tmp_path / "data")
    machine.environment()
    machine.run("asl-admin", *remote(sshfs), "init", str(sshfs))
    result = machine.run("asl-intake", *remote(sshfs), "run", f"tree:{data}").document
    assert result["store"] == str(sshfs)
    assert machine.run("asl-admin", *remote(sshfs), "verify", "latest").document["ok"]
    machine.run("asl-admin", *remote(sshfs), "restore", "latest", "--to", str(tmp_path / "back"))
    assert not differences(data, tmp_path / "back")
    assert machine.check(tmp_path / "far")["ok"], "and it is a store like any other, where it really lies"
    assert not list(sshfs.glob(".asl-probe-*"))


def test_a_file_system_that_cannot_hold_a_store_is_refused(no_links: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "host")
    machine.environment()
    for words in (["asl-admin", *remote(no_links), "init", str(no_links)],
                  ["asl-intake", *remote(no_links), "run", f"tree:{source(tmp_path / 'data')}"]):  # fmt: skip
        refused = machine.run(*words, codes=(3,)).document
        assert refused["reason"] == "PROBE_FAILED" and "link" in refused["promise"], refused
    assert not list(no_links.iterdir()), "nothing is left"


def test_what_is_not_mounted_is_not_written(tmp_path: Path) -> None:
    """Otherwise everything would end in the memory of the live system."""
    machine, place = Machine(tmp_path / "host"), tmp_path / "remote"
    machine.environment()
    place.mkdir()
    for words in (["asl-admin", *remote(place), "init", str(place)],
                  ["asl-intake", *remote(place), "run", f"tree:{source(tmp_path / 'data')}"]):  # fmt: skip
        refused = machine.run(*words, codes=(4,)).document
        assert refused["reason"] == "REMOTE_NOT_MOUNTED", refused
    assert not list(place.iterdir())
