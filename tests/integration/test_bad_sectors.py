# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks with bad sectors, by a block device that really fails: every sector that can be read, exactly, and the same as GNU ddrescue.

ASL_BAD is the number of bad ranges, ASL_BAD_MIB the size of the disk, ASL_STOPS how often the intake is killed, ASL_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from integration.support import Machine, number
from rig import badsectors, gateway

pytestmark = pytest.mark.root
Ranges = Sequence[tuple[int, int]]


def make(path: Path, size: int, rng: random.Random) -> bytes:
    """A disk with random content and zeros in it."""
    data = bytearray()
    while len(data) < size:
        data += bytes(rng.randrange(1 << 18)) if rng.random() < 0.3 else rng.randbytes(rng.randrange(1 << 20))
    path.write_bytes(data[:size])
    return bytes(data[:size])


def unread(document: dict[str, Any]) -> list[tuple[int, int]]:
    """The ranges (start, end) that the losses of an intake name."""
    found = []
    for loss in document["losses"]:
        length, at = loss["where"].rsplit(": ", 1)[1].split(" bytes at ")
        found.append((int(at), int(at) + int(length)))
    return sorted(found)


def ddrescue(device: str, folder: Path) -> tuple[list[tuple[int, int]], Path]:
    """What GNU ddrescue cannot read, and its mapfile."""
    mapfile = folder / "ddrescue.map"
    subprocess.run(["ddrescue", "-q", "-d", device, str(folder / "ddrescue.img"), str(mapfile)], check=True)
    rows = [line.split() for line in mapfile.read_text().splitlines() if not line.startswith("#")][1:]
    return [(int(start, 16), int(start, 16) + int(size, 16)) for start, size, status in rows if status != "+"], mapfile


def holding(data: bytes, bad: Ranges) -> bytes:
    """What a restore of the disk gives: zeros where it was not read."""
    found = bytearray(data)
    for start, end in bad:
        found[start:end] = bytes(end - start)
    return bytes(found)


def test_as_exact_as_ddrescue_however_often_it_is_killed(tmp_path: Path, machine: Machine) -> None:
    seed, stops = number("ASL_SEED", secrets.randbelow(10**9)), number("ASL_STOPS", 4)
    size, count = number("ASL_BAD_MIB", 48) << 20, number("ASL_BAD", 40)
    print(f"ASL_SEED={seed} ASL_BAD={count} ASL_BAD_MIB={size >> 20} ASL_STOPS={stops}")
    rng, image = random.Random(seed), tmp_path / "disk.img"
    data, bad = make(image, size, rng), badsectors.ranges(size, count, seed)
    calm, killed = machine.init(tmp_path / "calm"), machine.init(tmp_path / "killed")
    with badsectors.device(image, bad) as disk:
        theirs, mapfile = ddrescue(disk, tmp_path)
        first = machine.intake(f"device:{disk}", calm, codes=(1,))
        ours = first.document
        assert unread(ours) == bad == theirs
        for _ in range(stops):
            running = machine.start("asl-intake", "run", f"device:{disk}", "--store", str(killed))
            running.kill_after(rng.uniform(0.2, first.seconds))
        again = machine.intake(f"device:{disk}", killed, codes=(1,)).document
        assert again["digest"] == ours["digest"], f"seed {seed}: it ended otherwise"
        assert machine.check(killed)["ok"]
    machine.run("asl-admin", "restore", "1", "--file", str(tmp_path / "back"), "--store", str(calm), codes=(1,))
    assert (tmp_path / "back").read_bytes() == holding(data, bad)
    machine.run("asl-admin", "map", "1", "--output", str(tmp_path / "map"), "--store", str(calm), codes=(1,))
    subprocess.run(["ddrescuelog", "-p", str(mapfile), str(tmp_path / "map")], check=True)  # the same areas, says ddrescue
    # The image that ddrescue made, with its map, is the same content: what it could not read is not taken for zeros.
    taken = machine.intake(f"device:{tmp_path / 'ddrescue.img'}", calm, "--map", str(mapfile), codes=(1,)).document
    assert taken["digest"] == ours["digest"] and taken["sources"][0]["bytes_unread"] == ours["sources"][0]["bytes_unread"]


def test_a_second_intake_reads_only_what_is_lacking(tmp_path: Path, machine: Machine) -> None:
    rng, image = random.Random(5), tmp_path / "disk.img"
    make(image, 16 << 20, rng)
    bad = badsectors.ranges(16 << 20, 12, 5)
    better = [(start, end) for number, (start, end) in enumerate(bad) if number % 2]
    store, other = machine.init(tmp_path / "store"), machine.init(tmp_path / "other")
    with badsectors.device(image, bad) as disk:
        machine.intake(f"device:{disk}", store, codes=(1,))
    for left in (better, []):
        with badsectors.device(image, left) as disk:
            again = machine.intake(f"device:{disk}", store, "--retry", "latest", codes=(1 if left else 0,)).document
            whole = machine.intake(f"device:{disk}", other, codes=(1 if left else 0,)).document
        assert again["digest"] == whole["digest"] and unread(again) == left
        assert again["bytes_read"] < 1 << 20 and again["changed"]
    assert machine.run("asl-admin", "verify", "--store", str(store)).document["ok"]


def test_the_disk_is_held_against_its_snapshot_without_its_bad_sectors(tmp_path: Path, machine: Machine) -> None:
    image, size = tmp_path / "disk.img", 12 << 20
    data = make(image, size, random.Random(9))
    bad = badsectors.ranges(size, 15, 9)
    store = machine.init(tmp_path / "store")
    words = ("verify", "latest", "--store", str(store), "--source")
    lacking = [[start, end - start] for start, end in bad]
    with badsectors.device(image, bad) as disk:
        machine.intake(f"device:{disk}", store, codes=(1,))
        found = machine.run("asl-admin", *words, f"device:{disk}", codes=(1,)).document
    assert (found["ok"], found["differences"]) == (True, [])
    assert [(each["what"], each["ranges"]) for each in found["not_compared"]] == [("unread", lacking)]
    assert found["sources"][0]["bytes"] == size - sum(end - start for start, end in bad)
    with badsectors.device(image, []) as disk:  # sound sectors there now: the snapshot knows nothing of them, and they are not asked for
        assert machine.run("asl-admin", *words, f"device:{disk}", codes=(1,)).document["not_compared"] == found["not_compared"]
    at = next(at for at in range(0, size, 512) if not any(start - 512 <= at < end for start, end in bad))
    with badsectors.device(image, sorted([*bad, (at, at + 512)])) as disk:
        worse = machine.run("asl-admin", *words, f"device:{disk}", codes=(1,)).document
    [more] = [each for each in worse["not_compared"] if each["what"] == "unreadable"]
    assert (worse["ok"], any(start <= at < start + length for start, length in more["ranges"])) == (True, True)
    image.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with badsectors.device(image, bad) as disk:
        other = machine.run("asl-admin", *words, f"device:{disk}", codes=(5,)).document
    [[start, length]] = other["differences"][0]["ranges"]
    assert start <= at < start + length


def test_a_failing_disk_goes_through_a_gateway_that_cannot_be_read(tmp_path: Path, machine: Machine) -> None:
    image = tmp_path / "disk.img"
    make(image, 12 << 20, random.Random(8))
    bad = badsectors.ranges(12 << 20, 15, 8)
    local = machine.init(tmp_path / "local")
    with gateway.running(tmp_path / "gateway", ("rescue-domain",)) as (site, replica), badsectors.device(image, bad) as disk:
        token = machine.folder / "run" / "token"
        token.touch(0o600)
        token.write_text(site.token("add"))
        words = ("--store", replica.url, "--set", f"remote.ca={site.certificate}")
        sent = machine.run("asl-intake", "run", f"device:{disk}", *words, codes=(1,)).document
        assert unread(sent) == bad
        assert sent["digest"] == machine.intake(f"device:{disk}", local, codes=(1,)).document["digest"]
        assert machine.check(site.place / "rescue-domain")["ok"]


def test_a_disk_that_stops_answering_does_not_hang_the_intake(tmp_path: Path, machine: Machine) -> None:
    image = tmp_path / "disk.img"
    data = make(image, 8 << 20, random.Random(6))
    store = machine.init(tmp_path / "store")
    with badsectors.device(image, []) as disk:
        server = badsectors.server_of(image)
        os.kill(server, signal.SIGSTOP)
        try:
            silent = machine.intake(f"device:{disk}", store, "--read-deadline", "1", codes=(1,)).document
        finally:
            os.kill(server, signal.SIGCONT)
        assert silent["bytes_unread"] == 8 << 20
        assert "did not come back" in silent["sources"][0]["details"]["stopped"]
        whole = machine.intake(f"device:{disk}", store, "--retry", "latest").document
    machine.run("asl-admin", "restore", whole["snapshot"], "--file", str(tmp_path / "back"), "--store", str(store))
    assert (tmp_path / "back").read_bytes() == data
