# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""federation.conf: what an admitted peer has is not sent again, and is read from there; of others nothing is taken."""

from __future__ import annotations

import json
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import Machine, differences
from rig.gateway import Replica, Site, environment, running

from asl.backends.gateway import Gateway
from asl.backends.remote import Remote
from asl.errors import Unavailable
from asl.store import open_store

OWN, PEER, STRANGER = "rescue-domain", "site-b", "site-c"
SIZE = 6 << 20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Replica]]:
    folder = tmp_path_factory.mktemp("gateway")
    conf = folder / "federation.conf"
    conf.write_text(f"domain.id = {OWN}\npeer.b.domain = {PEER}\npeer.b.admit = artifacts\npeer.c.domain = {STRANGER}\n")
    with running(folder, (OWN, PEER, STRANGER), federation=str(conf)) as found:
        yield found


def material(folder: Path, seed: int, own: int) -> Path:
    """A tree whose large file is the same for every SEED, and whose small one is not."""
    folder.mkdir()
    (folder / "common").write_bytes(random.Random(seed).randbytes(SIZE))
    (folder / "own").write_bytes(random.Random(own).randbytes(SIZE // 10))
    return folder


class Host:
    """A machine with tokens and a federation.conf of its own."""

    def __init__(self, folder: Path, site: Site, url: str, domain: str, verb: str) -> None:
        self.machine, self.site, self.folder = Machine(folder), site, folder
        self.machine.environment()
        self.token("token", verb, domain)
        (folder / "asl.conf").write_text(f"remote.ca = {site.certificate}\n")
        (folder / "federation.conf").write_text(f"domain.id = {domain}\n")
        self.words = ["--config", str(folder / "asl.conf")]
        self.store = ["--store", url]

    def token(self, name: str, verb: str, domain: str) -> Path:
        path = self.folder / "run" / name
        path.touch(0o600)
        path.write_text(self.site.token(verb, domain=domain))
        return path

    def intake(self, source: Path) -> dict[str, object]:
        return self.machine.run("asl-intake", *self.words, "run", f"tree:{source}", *self.store).document

    def admin(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, object]:
        return self.machine.run("asl-admin", *self.words, words[0], *words[1:], *self.store, codes=codes).document


def peer_lines(token: Path, admit: str = "artifacts") -> str:
    return f"peer.b.domain = {PEER}\npeer.b.token-file = {token}\npeer.b.admit = {admit}\n"


def test_what_an_admitted_peer_has_is_not_sent_and_comes_back(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    first = Host(tmp_path / "first", site, replica.url, PEER, "add").intake(material(tmp_path / "one", 1, 101))
    assert int(str(first["bytes_stored"])) > SIZE
    source = material(tmp_path / "two", 1, 102)
    second = Host(tmp_path / "second", site, replica.url, OWN, "add").intake(source)
    assert int(str(second["bytes_stored"])) < SIZE // 4, "the large file is in the peer"
    assert second["domain"] == OWN
    assert open_store(str(site.place / OWN)).snapshots(), "and the gateway sealed it all the same"

    reader = Host(tmp_path / "reader", site, replica.url, OWN, "read")
    assert reader.admin("verify", "latest", codes=(5,))["damaged"], "without the peer it is not whole"
    token = reader.folder / "run" / "peer"
    (reader.folder / "federation.conf").write_text(f"domain.id = {OWN}\n{peer_lines(token)}")
    assert reader.admin("verify", "latest", codes=(4,))["reason"] == "PEER_UNAVAILABLE", "a peer that cannot be read is no damage"
    reader.token("peer", "read", PEER)
    found = reader.admin("verify", "latest")
    assert found["ok"] and int(str(found["bytes"])) > SIZE
    proof = reader.admin("prove", "latest")
    assert proof["verdict"] == "holds" and proof["bytes"] == found["bytes"], proof["sentence"]
    reader.admin("restore", "latest", "--to", str(tmp_path / "back"))
    assert not differences(source, tmp_path / "back")
    # On the server itself the peer is the folder beside the own one.
    here = reader.machine.run("asl-admin", *reader.words, "verify", "latest", "--store", str(site.place / OWN)).document
    assert here["ok"] and here["bytes"] == found["bytes"]
    # A byte of a block that only the peer has is a broken link too.
    blocks = [path for path in (site.place / PEER / "blocks").rglob("*") if path.is_file() and path.stat().st_size > SIZE // 2]
    at = blocks[0].stat().st_size - 1  # in the trailer: every artifact is whole
    kept = blocks[0].read_bytes()
    blocks[0].chmod(0o644)
    blocks[0].write_bytes(kept[:at] + bytes([kept[at] ^ 1]))
    words = ("prove", "latest", "--store", str(site.place / OWN))
    broken = reader.machine.run("asl-admin", *reader.words, *words, codes=(5,)).document
    blocks[0].write_bytes(kept)
    assert [each["link"] for each in broken["links"] if each["status"] == "broken"] == ["blocks"], broken["sentence"]


def test_nothing_is_taken_of_a_peer_that_is_not_admitted(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    Host(tmp_path / "first", site, replica.url, STRANGER, "add").intake(material(tmp_path / "one", 2, 201))
    result = Host(tmp_path / "second", site, replica.url, OWN, "add").intake(material(tmp_path / "two", 2, 202))
    assert int(str(result["bytes_stored"])) > SIZE, "all of it was sent"
    about = open_store(str(site.place / STRANGER)).snapshots()[-1].about
    asked = Gateway(Remote(replica.url, OWN, str(site.token_file("own", "add")), str(site.certificate)))
    assert asked.missing(about.manifest + b"\0" * 32) == b"\1\1"
    with pytest.raises(Unavailable) as refusal:
        asked.seal(about._replace(domain=OWN).encode())
    assert refusal.value.reason == "SNAPSHOT_INCOMPLETE"


def test_a_question_counts_the_peer_and_gives_nothing_else_away(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    Host(tmp_path / "first", site, replica.url, PEER, "add").intake(material(tmp_path / "one", 3, 301))
    manifest = open_store(str(site.place / PEER)).snapshots()[-1].about.manifest
    ca = str(site.certificate)
    assert Gateway(Remote(replica.url, OWN, str(site.token_file("own", "add")), ca)).missing(manifest) == b"\0"
    stranger = Gateway(Remote(replica.url, STRANGER, str(site.token_file("stranger", "add", domain=STRANGER)), ca))
    assert stranger.missing(manifest) == b"\1", "admitting is not mutual"
    reading = Gateway(Remote(replica.url, PEER, str(site.token_file("reading", "read")), ca))
    with pytest.raises(Unavailable) as refusal:
        reading.get("log")
    assert refusal.value.reason == "TOKEN_DOMAIN", "a token of the own domain does not read the peer's"


def test_the_snapshots_of_a_peer_are_read_when_they_are_admitted(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    source = material(tmp_path / "one", 4, 401)
    digest = Host(tmp_path / "first", site, replica.url, PEER, "add").intake(source)["digest"]
    reader = Host(tmp_path / "reader", site, replica.url, OWN, "read")
    token = reader.token("peer", "read", PEER)
    conf = reader.folder / "federation.conf"
    conf.write_text(f"domain.id = {OWN}\n{peer_lines(token)}")
    assert reader.admin("snapshots", "--peer", "b", codes=(3,))["reason"] == "PEER_NOT_ADMITTED"
    conf.write_text(f"domain.id = {OWN}\n{peer_lines(token, 'snapshots')}")
    listed = reader.admin("snapshots", "--peer", "b")["snapshots"]
    assert isinstance(listed, list) and listed[-1]["digest"] == digest
    reader.admin("restore", str(digest), "--peer", "b", "--to", str(tmp_path / "back"))
    assert not differences(source, tmp_path / "back")


def test_a_peer_behind_another_gateway_and_without_it(
    gateway: tuple[Site, Replica], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway reads the peer with a token; when the peer's gateway is down, everything is sent."""
    site, replica = gateway
    Host(tmp_path / "first", site, replica.url, PEER, "add").intake(material(tmp_path / "one", 5, 501))
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("ASL_RUN_DIR", str(run))
    (run / "peer").touch(0o600)
    (run / "peer").write_text(site.token("read", domain=PEER))
    conf = tmp_path / "federation.conf"
    for endpoint, spared in ((replica.url, True), ("https://localhost:1", False)):
        conf.write_text(
            f"domain.id = {OWN}\npeer.b.domain = {PEER}\npeer.b.endpoint = {endpoint}\npeer.b.ca = {site.certificate}\n"
            f"peer.b.token-file = {run / 'peer'}\npeer.b.admit = artifacts\n"
        )
        with running(tmp_path / f"far {spared}", (OWN,), federation=str(conf)) as (far, its):
            result = Host(tmp_path / f"host {spared}", far, its.url, OWN, "add").intake(material(tmp_path / f"two {spared}", 5, 502))
        told = [line for line in map(json.loads, its.log.read_text().splitlines()) if "peer" in line]
        assert [(line["domain"], line["peer"], line["level"]) for line in told] == ([] if spared else [(OWN, "b", "warning")])
        assert spared or (told[0]["reason"] == "ENDPOINT_TCP" and "asl1." not in its.log.read_text())
        assert (int(str(result["bytes_stored"])) < SIZE // 4) == spared


def test_a_federation_of_a_domain_that_is_not_served_is_refused(tmp_path: Path) -> None:
    conf = tmp_path / "federation.conf"
    conf.write_text(f"domain.id = elsewhere\npeer.b.domain = {PEER}\npeer.b.admit = artifacts\n")
    site = Site(tmp_path / "site", (OWN,), federation=str(conf))
    site.init()
    refused = subprocess.run(site.argv("check"), env=environment(), capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "CONFIG_INVALID" in refused.stderr and "elsewhere is not served" in refused.stderr


def test_a_peer_behind_a_gateway_without_a_token_is_refused_at_the_start(tmp_path: Path) -> None:
    conf = tmp_path / "federation.conf"
    conf.write_text(f"domain.id = {OWN}\npeer.b.domain = {PEER}\npeer.b.endpoint = https://localhost:1\npeer.b.admit = artifacts\n")
    site = Site(tmp_path / "site", (OWN,), federation=str(conf))
    site.init()
    for command in ("check", "serve"):
        refused = subprocess.run(site.argv(command), env=environment(), capture_output=True, text=True, check=False)
        assert refused.returncode == 2 and f"{conf}: the peer b is admitted, and there is no token" in refused.stderr, refused.stderr
        assert "[CONFIG_INVALID]" in refused.stderr and "peer.b.token-file" in refused.stderr
    conf.write_text(conf.read_text().replace("artifacts", "none"))
    site.run("check")  # a peer that is not admitted is never asked


def test_check_names_a_peer_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setenv("ASL_RUN_DIR", str(run))
    (run / "peer").touch(0o600)
    conf = tmp_path / "federation.conf"
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and never says a word
        conf.write_text(
            f"domain.id = {OWN}\npeer.b.domain = {PEER}\npeer.b.endpoint = https://localhost:{server.getsockname()[1]}\n"
            f"peer.b.token-file = {run / 'peer'}\npeer.b.admit = artifacts\n"
            f"peer.c.domain = {STRANGER}\npeer.c.admit = artifacts\n"
        )
        site = Site(tmp_path / "site", (OWN, STRANGER), federation=str(conf))
        site.init()
        (run / "peer").write_text(site.token("read", domain=PEER))
        refused = subprocess.run(site.argv("check", "--json"), env=environment(), capture_output=True, text=True, check=False)
    document = json.loads(refused.stdout)
    assert (refused.returncode, document["reason"]) == (4, "PEER_UNAVAILABLE"), refused.stderr
    assert f"the peer b of {OWN} cannot be read" in document["error"] and "peer c" not in document["error"]
    conf.write_text(f"domain.id = {OWN}\npeer.c.domain = {STRANGER}\npeer.c.admit = artifacts\n")
    assert f"peers of {OWN}: c" in site.run("check").stdout
