# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intakes through a connection that is cut again and again, and while replicas are killed. ASL_CUTS=1000 for the long run."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import Machine, number
from rig import proxy
from rig.gateway import Replica, Site, running

from asl.backends.remote import Remote
from asl.intake.request import Request
from asl.intake.run import run

CUTS = number("ASL_CUTS", 20)
SIZE = 24 << 20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Replica]]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ASL_RUN_DIR", str(tmp_path / "run"))


def remote(site: Site, url: str) -> Remote:
    token = site.token_file("adding", "add")
    return Remote(url, "rescue-domain", str(token), str(site.certificate), silence=1.0, patience=120)


def intake(source: Path, site: Site, url: str, label: str) -> dict[str, object]:
    request = Request((f"device:{source}",), url, "rescue-domain", {"run": label})
    return run(request, block_size=4 << 20, remote=remote(site, url))


def local_digest(source: Path, folder: Path) -> str:
    machine = Machine(folder)
    return str(machine.intake(f"device:{source}", machine.init(folder / "store")).document["digest"])


def puts(replica: Replica) -> tuple[dict[int, int], list[int]]:
    """How often a PUT was answered with each status, by the gateway's own lines; and the sizes of bodies that were not needed.

    An answer of 200 says that the object was there by then. A body of no bytes only asks for the answer, after a cut took the first."""
    found: dict[int, int] = {}
    needless = []
    for line in replica.log.read_text().splitlines():
        if '"PUT"' in line and line.startswith("{"):
            told = json.loads(line)
            found[told["status"]] = found.get(told["status"], 0) + 1
            if told["status"] == 200 and int(told["size"]):
                needless.append(int(told["size"]))
    return found, needless


def test_every_cut_intake_ends_with_the_same_digest(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    """Reset, stalled, truncated and duplicated connections: the same digest, and no byte of a completed block twice."""
    site, replica = gateway
    rng, source, cuts, runs = random.Random(20261125), tmp_path / "disk", 0, 0
    bad = proxy.Proxy(replica.port, proxy.plan(rng, 0.6, SIZE // 2))
    try:
        while cuts < CUTS:
            source.write_bytes(rng.randbytes(SIZE))
            result = intake(source, site, bad.url, str(runs))
            cuts, runs = sum(bad.done.values()), runs + 1
            if runs == 1 or runs % 25 == 0:
                assert result["digest"] == local_digest(source, tmp_path / f"local{runs}")
    finally:
        bad.close()
    answered, needless = puts(replica)
    assert set(answered) <= {200, 201, 409, 499}, answered
    assert not needless, "bytes of blocks that were complete already"
    assert all(bad.done.values()) or CUTS < 20
    assert Machine(tmp_path / "checker").check(site.place / "rescue-domain")["ok"]
    print(f"{runs} intakes, faults {bad.done}, PUTs {answered}")


def test_a_replica_is_killed_and_another_one_goes_on(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    """The intake knows one address; behind it one replica dies in the middle of blocks, and another one is there."""
    site, first = gateway
    second = site.start()
    source = tmp_path / "disk"
    source.write_bytes(random.Random(5).randbytes(96 << 20))
    ports, front = [first.port, second.port], proxy.Proxy(first.port)

    def fail_over() -> None:
        while front.bytes_up < 30 << 20:
            threading.Event().wait(0.01)
        front._target = ports[1]
        first.kill()

    killer = threading.Thread(target=fail_over, daemon=True)
    killer.start()
    try:
        result = intake(source, site, front.url, "killed")
    finally:
        front.close()
    killer.join(30)
    assert not killer.is_alive(), "the replica was killed in the middle"
    assert result["digest"] == local_digest(source, tmp_path / "local")
    first.start()
    assert Machine(tmp_path / "checker").check(site.place / "rescue-domain")["ok"]
