# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway over a directory: the same snapshots through HTTPS, and a token that can only add."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import Machine, differences, host
from rig.gateway import Replica, Site, running

from asl.backends.https import Connections
from asl.backends.remote import Remote

BLOCK = "ab" * 32


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Replica]]:
    with running(tmp_path_factory.mktemp("gateway"), ("rescue-domain", "other")) as found:
        yield found


def tree(folder: Path, seed: int, common: int = 1, size: int = 3 << 20) -> Path:
    """A tree of which nine tenths are the same for every SEED with one COMMON."""
    folder.mkdir(parents=True)
    for number in range(10):
        rng = random.Random(f"{common}/{number}" if number else f"own {seed}")
        (folder / f"file{number}").write_bytes(rng.randbytes(size))
    return folder


def test_three_hosts_send_what_differs_and_all_of_it_comes_back(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    place = ["--store", replica.url, "--set", f"remote.ca={site.certificate}"]
    sent, digests = [], []
    for number in range(3):
        source = tree(tmp_path / f"tree{number}", number)
        machine = host(tmp_path / f"host{number}", site, "add")
        result = machine.run("asl-intake", "run", f"tree:{source}", *place, "--label", f"host={number}").document
        local = machine.init(tmp_path / f"local{number}")
        assert result["digest"] == machine.intake(f"tree:{source}", local, "--label", f"host={number}").document["digest"]
        assert result["bytes_new"] + result["bytes_duplicate"] == result["size"]
        sent.append(result["bytes_stored"])
        (receipt,) = result["receipts"]
        assert (receipt["by"], receipt["why"]) == ("gateway", None)
        digests.append((result["snapshot"], result["digest"], receipt))
        (tmp_path / result["snapshot"]).write_text(receipt["text"])
        (tmp_path / f"{result['snapshot']}.sig").write_text(receipt["signature"])
        signed(site, receipt)
    assert sent[0] > 30 << 20
    assert all(each < 4 << 20 for each in sent[1:]), "nine tenths were there"
    reader = host(tmp_path / "reader", site, "read")
    listed = reader.run("asl-admin", "snapshots", *place).document["snapshots"]
    assert [each["digest"] for each in listed][-3:] == [digest for _, digest, _ in digests]
    for number, (snapshot, _, _) in enumerate(digests):
        assert reader.run("asl-admin", "verify", snapshot, *place).document["ok"]
        # From the signature of the gateway to every byte: through the gateway, and where the store lies.
        words = ("prove", snapshot, "--receipt", str(tmp_path / snapshot), "--allowed-signers", str(site.folder / "allowed_signers"))
        for where in (place, ["--store", str(site.place / "rescue-domain")]):
            proof = reader.run("asl-admin", *words, *where).document
            assert (proof["verdict"], proof["signer"]["principal"]) == ("proven", "asl-gateway"), proof["sentence"]
        back = tmp_path / f"back{number}"
        reader.run("asl-admin", "restore", snapshot, "--to", str(back), *place)
        assert not differences(tmp_path / f"tree{number}", back)
    assert reader.check(site.place / "rescue-domain")["ok"]


def fetched(replica: Replica) -> int:
    """How many objects the gateway gave away, by its own lines."""
    return sum('"GET"' in line and "/{folder}/{name}" in line for line in replica.log.read_text().splitlines())


def test_a_reader_with_a_cache_fetches_once_and_proves_anew(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    place = ["--store", replica.url, "--set", f"remote.ca={site.certificate}"]
    source = tree(tmp_path / "tree", 5, common=5, size=1 << 20)
    host(tmp_path / "host", site, "add").run("asl-intake", "run", f"tree:{source}", *place)
    reader, counts = host(tmp_path / "reader", site, "read"), [fetched(replica)]
    for number in range(2):
        reader.run("asl-admin", "restore", "latest", "--to", str(tmp_path / f"back{number}"), *place, "--set", "cache.size=1GiB")
        assert not differences(source, tmp_path / f"back{number}")
        counts.append(fetched(replica))
    blocks = list((tmp_path / "reader" / "state" / "cache" / "blocks").iterdir())
    assert blocks and counts[1] - counts[0] >= len(blocks), "once from the gateway"
    assert counts[2] - counts[1] <= 1, "then from the cache: but for a checkpoint, nothing is asked for"
    assert reader.run("asl-admin", "verify", "latest", *place, "--set", "cache.size=1GiB").document["ok"]
    assert fetched(replica) - counts[2] >= len(blocks), "a proof reads the store itself"


def signed(site: Site, receipt: dict[str, str]) -> None:
    """ssh-keygen, as any host has it, checks the receipt."""
    signers = site.folder / "allowed_signers"
    signers.write_text(f"asl-gateway {site.receipt_key.with_suffix('.pub').read_text()}")
    signature = site.folder / "receipt.sig"
    signature.write_text(receipt["signature"])
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "asl-gateway", "-n", receipt["namespace"], "-s", str(signature)]
    good = subprocess.run(argv, input=receipt["text"], text=True, capture_output=True, check=False)
    assert good.returncode == 0, good.stderr
    other = subprocess.run(argv, input=receipt["text"].replace("1", "2"), text=True, capture_output=True, check=False)
    assert other.returncode != 0


def test_an_unchanged_source_sends_nothing_and_gives_the_same_answer(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    site, replica = gateway
    source = tree(tmp_path / "tree", 7, common=7, size=1 << 20)
    machine = host(tmp_path / "host", site, "add")
    place = ["--store", replica.url, "--set", f"remote.ca={site.certificate}"]
    first = machine.run("asl-intake", "run", f"tree:{source}", *place).document
    again = machine.run("asl-intake", "run", f"tree:{source}", *place).document
    assert (again["changed"], again["snapshot"], again["digest"]) == (False, first["snapshot"], first["digest"])
    assert again["bytes_new"] == 0 and again["bytes_stored"] == 0
    assert again["receipts"] == first["receipts"]
    predicted = machine.run("asl-intake", "submit", f"tree:{source}", "--check", *place).document
    assert predicted["actions"] == []


# What a path needs: `read` or `add`; None: no verb there does anything.
PATHS = {
    ("GET", f"blocks/{BLOCK}"): "read", ("GET", "blocks"): "read", ("GET", "segments"): "read", ("GET", "segments/000000000001"): "read",
    ("GET", "snapshots"): "read", ("GET", "snapshots/000000000001"): "read", ("GET", "log"): "read", ("GET", "head"): "read",
    ("GET", "marker"): "read", ("HEAD", "log"): "read", ("HEAD", "snapshots/000000000001"): "read",
    ("HEAD", "segments/000000000001"): "read",
    ("POST", "missing"): "add", ("PUT", f"blocks/{BLOCK}"): "add", ("PUT", f"segments/{BLOCK}"): "add", ("POST", "snapshots"): "add",
    **{(method, path): None for method in ("DELETE", "PATCH", "PUT", "POST")
       for path in ("log", "head", "marker", "blocks", "segments", "meta", "tmp", "locks")},
    **{(method, path): None for method in ("DELETE", "PATCH", "POST") for path in (f"blocks/{BLOCK}", f"segments/{BLOCK}")},
    **{(method, f"snapshots/{number:012}"): None for method in ("DELETE", "PATCH", "PUT", "POST") for number in (1,)},
    ("PUT", "segments/000000000001"): None,
}  # fmt: skip


@pytest.mark.parametrize("verb", ["add", "read", "none", "expired", "forged", "other domain"])
def test_each_token_on_each_path(gateway: tuple[Site, Replica], verb: str) -> None:
    """A token that adds can neither read, list, overwrite nor delete; one that reads cannot add; others do nothing."""
    site, replica = gateway
    token = {
        "add": site.token("add"), "read": site.token("read"), "none": "", "expired": site.token("add", "read", lifetime=-1),
        "forged": site.token("add", "read")[:-3] + "AAA", "other domain": site.token("add", "read", domain="other"),
    }[verb]  # fmt: skip
    before = sorted(str(path) for path in (site.place / "rescue-domain").rglob("*"))
    connections = Connections(Remote(replica.url, "rescue-domain", None, str(site.certificate)))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for (method, path), needed in PATHS.items():
        found = connections.request(method, f"/v1/rescue-domain/{path}", b"" if method in ("GET", "HEAD") else b"no such thing", headers)
        if needed == verb:
            assert found.status not in (401, 403, 405), (method, path, found)
            continue
        assert found.status in (401, 403, 404, 405), (method, path, found)
        if method != "HEAD":
            told = json.loads(found.body)
            assert (told["error"] and told["reason"] and token not in str(told)) or not token, (method, path, told)
    assert sorted(str(path) for path in (site.place / "rescue-domain").rglob("*")) == before, "nothing was stored, nothing is gone"


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# All that a token which adds may do; whatever else there is is refused.
MAY_ADD = {
    ("POST", "/v1/{domain}/missing"), ("PUT", "/v1/{domain}/blocks/{name}"), ("HEAD", "/v1/{domain}/blocks/{name}"),
    ("PUT", "/v1/{domain}/segments/{name}"), ("HEAD", "/v1/{domain}/segments/{name}"), ("POST", "/v1/{domain}/snapshots"),
    ("POST", "/v1/{domain}/snapshots/find"), ("POST", "/v1/{domain}/snapshots/known"), ("POST", "/v1/artifacts"),
}  # fmt: skip
OPEN = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/meta")


def test_the_token_of_a_rescue_host_on_every_path(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    """Every path of the description with every method, with names that are there: nothing is read, listed, overwritten or deleted."""
    site, replica = gateway
    source = tree(tmp_path / "tree", 9, common=9, size=1 << 18)
    place = ["--store", replica.url, "--set", f"remote.ca={site.certificate}"]
    made = host(tmp_path / "host", site, "add").run("asl-intake", "run", f"tree:{source}", *place).document
    store = site.place / "rescue-domain"
    block = sorted(path.name for path in (store / "blocks").rglob("*") if path.is_file())[0]
    segment = hashlib.sha256(sorted((store / "segments").iterdir())[0].read_bytes()).hexdigest()
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    connections = Connections(Remote(replica.url, "rescue-domain", None, str(site.certificate)))
    headers = {"Authorization": f"Bearer {site.token('add')}"}
    described = json.loads(connections.request("GET", "/openapi.json").body)["paths"]
    assert {(method, path) for method, path in MAY_ADD} <= {(method.upper(), path) for path, calls in described.items() for method in calls}
    for path in described:
        name = segment if "segments" in path else block
        real = path.format(domain="rescue-domain", name=name, number="000000000001", ref=made["digest"])
        for method in METHODS:
            found = connections.request(method, real, b"" if method in ("GET", "HEAD", "OPTIONS") else b"other bytes", headers)
            if path in OPEN and method in ("GET", "HEAD"):
                continue
            if (method, path) in MAY_ADD:
                assert found.status not in (401, 403, 405), (method, path, found)
                assert method != "HEAD" or found.headers["upload-complete"] == "?1", "it is there; nothing else is told"
                assert "content-length" not in found.headers or method != "HEAD" or found.headers["content-length"] == "0"
            else:
                assert found.status in (401, 403, 404, 405), (method, path, found)
                assert not found.body or json.loads(found.body)["reason"]
    after = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert {path: after.get(path) for path in before if not path.match("meta/*") and not path.match("logs/*")} == {
        path: data for path, data in before.items() if not path.match("meta/*") and not path.match("logs/*")
    }, "what was there is there, as it was"
    assert after[store / "logs" / "asl.log"].startswith(before[store / "logs" / "asl.log"])
    assert Machine(tmp_path / "checker").check(store)["ok"]


def test_what_is_wrong_is_refused_with_a_reason_and_leaves_nothing(gateway: tuple[Site, Replica]) -> None:
    site, replica = gateway
    connections = Connections(Remote(replica.url, "rescue-domain", None, str(site.certificate)))
    headers = {"Authorization": f"Bearer {site.token('add')}"}

    def ask(method: str, path: str, body: bytes, **more: str) -> tuple[int, str]:
        added = {name.replace("_", "-"): value for name, value in more.items()}
        found = connections.request(method, f"/v1/rescue-domain/{path}", body, {**headers, **added})
        return found.status, json.loads(found.body)["reason"]

    assert ask("PUT", f"blocks/{BLOCK}", b"other bytes") == (422, "BAD_DIGEST")
    assert ask("PUT", f"blocks/{BLOCK}", b"more", Upload_Offset="7") == (409, "UPLOAD_OFFSET")
    assert ask("PUT", f"blocks/{BLOCK}", b"more", Upload_Offset="-7") == (400, "BAD_HEADER")
    hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert ask("PUT", f"blocks/{hello}", b"hello") == (422, "BAD_BLOCK")
    assert ask("PUT", f"segments/{hello}", b"hello") == (422, "BAD_SEGMENT")
    assert ask("POST", "missing", b"x" * 33) == (400, "BAD_BODY")
    assert ask("POST", "missing", b"x" * 32 * 100_001) == (413, "TOO_LARGE")
    assert ask("POST", "snapshots", b"{}") == (422, "BAD_LOG")
    assert ask("POST", "snapshots", b"not json") == (422, "BAD_BODY")
    assert not list((site.place / ".uploads").iterdir())
