# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many at once: writers that commit to one domain through two replicas, a large question, bad requests from the description."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from integration.support import Machine, number
from rig.gateway import Replica, Site, running

from asl import tokens
from asl.backends.gateway import MOST_DIGESTS, Gateway
from asl.backends.https import Connections
from asl.backends.remote import Remote
from asl.formats import recipe as recipes
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.store import init_store, open_store, open_writer
from asl.store.remote import RemoteWriter

WRITERS, ROUNDS = 8, number("ASL_ROUNDS", 3)
EXAMPLES = number("ASL_EXAMPLES", 8)
FUZZED = number("ASL_FUZZED", 1500)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Replica]]:
    with running(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def writer(site: Site, replica: Replica, name: str) -> RemoteWriter:
    token = site.token_file(name, "add")
    return RemoteWriter(Gateway(Remote(replica.url, "rescue-domain", str(token), str(site.certificate), connections=1)))


def commit(opened: RemoteWriter, text: str) -> int:
    chunk = opened.put(text.encode())
    recipe = opened.put(recipes.encode(0, [recipes.Entry(recipes.DATA, len(text), chunk)]), TAG_RECIPE)
    manifest = opened.put(Manifest((SourceRoot("stream", "recipe", recipe, len(text)),), {"average": 1}).encode(), TAG_MANIFEST)
    receipt = opened.put(b'{"format":"asl-receipt","text":"%s"}' % text.encode(), TAG_RECEIPT)
    return opened.seal_snapshot(About("rescue-domain", manifest, receipt, (f"stream:{text}",), sealed=1)).id


def test_an_upload_that_is_being_finished_is_busy_and_nobody_waits_for_it(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    """The lock is held as while a whole block is checked and published. The client backs off, and comes to the end by itself."""
    site, replica = gateway[0], gateway[0].start()  # its own log: in that of the others there is no 503
    init_store(str(tmp_path / "store"))
    with open_writer(str(tmp_path / "store")) as local:
        local.put(random.Random(11).randbytes(1 << 20))
        local.commit()
    (block,) = [path.read_bytes() for path in (tmp_path / "store" / "blocks").rglob("*") if path.is_file()]
    name, token = hashlib.sha256(block).hexdigest(), site.token_file("busy", "add")
    path, headers = f"/v1/rescue-domain/blocks/{name}", {"Authorization": f"Bearer {token.read_text()}"}
    upload = site.place / ".uploads" / f"rescue-domain-blocks-{tokens.read(token.read_text()).id}-{name}"
    upload.write_bytes(block[:1000])
    remote = Remote(replica.url, "rescue-domain", str(token), str(site.certificate), silence=5.0)
    with upload.open("rb") as held, ThreadPoolExecutor(1) as beside:
        fcntl.flock(held, fcntl.LOCK_EX)
        asked = Connections(remote).request("HEAD", path, b"", headers)
        assert (asked.status, asked.headers["asl-reason"]) == (503, "BUSY") and int(asked.headers["retry-after"]) > 0
        put = Connections(remote).request("PUT", path, block[1000:], {**headers, "Upload-Offset": "1000"})
        assert (put.status, json.loads(put.body)["reason"]) == (503, "BUSY")
        sending = beside.submit(Gateway(remote).put, "blocks", bytes.fromhex(name), block)
        while replica.log.read_text().count('"status": 503') < 3:
            assert not sending.done(), sending.result()
        fcntl.flock(held, fcntl.LOCK_UN)
        assert sending.result() == len(block) - 1000, "it went on where it stopped"


def test_eight_writers_commit_at_once(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    """Each commit exactly once, in one log, through two replicas on one directory."""
    site, first = gateway
    replicas = [first, site.start()]
    start, ids, failed = threading.Barrier(WRITERS), [], []

    def work(name: int) -> None:
        try:
            with writer(site, replicas[name % 2], f"writer{name}") as opened:
                for each in range(ROUNDS):
                    start.wait()
                    ids.append(commit(opened, f"writer {name} round {each}"))
        except BaseException as error:
            failed.append(error)
            start.abort()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(WRITERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed, failed
    assert sorted(ids) == list(range(1, WRITERS * ROUNDS + 1))
    listed = open_store(str(site.place / "rescue-domain")).snapshots()
    assert sorted(each.about.sources[0] for each in listed) == sorted(
        f"stream:writer {name} round {each}" for name in range(WRITERS) for each in range(ROUNDS)
    )
    assert Machine(tmp_path).check(site.place / "rescue-domain")["ok"]


def test_a_segment_that_was_merged_is_not_asked_for_again(gateway: tuple[Site, Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost the answer to its segment asks how far it came, perhaps when it is part of a larger one already."""
    site, replica = gateway
    sent: list[bytes] = []
    with writer(site, replica, "merging") as opened:
        put = opened.gateway.put

        def watched(kind: str, digest: bytes, data: Any) -> int:
            sent.extend([digest] if kind == "segments" else [])
            return put(kind, digest, data)

        monkeypatch.setattr(opened.gateway, "put", watched)
        for number in range(40):
            opened.put(b"merging %d" % number)
            opened.commit()
        visible = set(open_store(str(site.place / "rescue-domain")).state.segments.values())
        assert set(sent) - visible, "some were merged"
        answers = [opened.gateway.head(f"segments/{digest.hex()}").headers for digest in sent]
    assert [each["upload-complete"] for each in answers] == ["?1"] * len(sent)


def test_a_hundred_thousand_digests_in_one_question(gateway: tuple[Site, Replica]) -> None:
    site, replica = gateway
    with writer(site, replica, "asking") as opened:
        known = opened.put(b"known")
        opened.commit()
        digests = os.urandom(32 * (MOST_DIGESTS - 1)) + known
        answer = opened.gateway.missing(digests)
    assert (len(answer), answer.count(1), answer[-1]) == (MOST_DIGESTS, MOST_DIGESTS - 1, 0)


def test_bad_requests_made_from_the_description(gateway: tuple[Site, Replica], tmp_path: Path) -> None:
    """schemathesis: whatever comes, the answer is in the description, never a 5xx, and nothing is stored by what is refused."""
    site, replica = gateway
    before = sorted(str(path) for path in (site.place / "rescue-domain" / "snapshots").iterdir())
    env = {**os.environ, "SSL_CERT_FILE": str(site.certificate), "REQUESTS_CA_BUNDLE": str(site.certificate)}
    served = Connections(Remote(replica.url, "rescue-domain", None, str(site.certificate))).call("GET", "/openapi.json").body.decode()
    described = tmp_path / "openapi.json"  # with the domain that is there, so that what lies behind it is reached
    described.write_text(served.replace(json.dumps("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"), json.dumps("^rescue-domain$")))
    tool = Path(sys.executable).with_name("schemathesis")
    argv = [str(tool), "run", str(described), "--url", replica.url, "--tls-verify", str(site.certificate),
            "--header", f"Authorization: Bearer {site.token('add', 'read')}", "--max-examples", str(EXAMPLES), "--workers", "1",
            "--phases", "coverage,fuzzing",
            "--checks", "not_a_server_error,content_type_conformance,status_code_conformance", "--generation-database", "none",
            "--no-color", "--request-timeout", "30", "--seed", "7"]  # fmt: skip
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert not [line for line in replica.log.read_text().splitlines() if '"status": 5' in line]
    assert sorted(str(path) for path in (site.place / "rescue-domain" / "snapshots").iterdir()) == before


PATHS = (
    "/healthz", "/metrics", "/openapi.json", "/v1/meta", "/v1/artifacts", "/v1/artifacts/0001{hex}", "/v1/{domain}/missing",
    "/v1/{domain}/blocks", "/v1/{domain}/blocks/{hex}", "/v1/{domain}/segments/{hex}", "/v1/{domain}/segments/000000000001",
    "/v1/{domain}/snapshots", "/v1/{domain}/snapshots/find", "/v1/{domain}/snapshots/known", "/v1/{domain}/snapshots/000000000001",
    "/v1/{domain}/log", "/v1/{domain}/head", "/v1/{domain}/marker", "/v1/{domain}/meta/lock", "/v1/{domain}/tmp/x",
)  # fmt: skip
PIECES = ("..", ".", "%2e%2e", "%00", "%ff%fe", "/", "//", "?after=", "?format=info", "?" + "a" * 3000, "%", ";", "~", "%0d%0aX:%20y",
          "A" * 5000, "%F0%9F%92%A9", "'--", "{domain}", "\\", "-1", "0" * 80)  # fmt: skip
NUMBERS = ("-1", "0", "1", "75497473", "9" * 30, "0x10", "1e3", "", " 7", "1,2", "\u0663".encode().decode("latin-1"), "nan")
RANGES = ("bytes=0-", "bytes=-5", "bytes=5-1", "bytes=0-0,2-3", "bytes=" + "9" * 40 + "-", "lines=1-2", "bytes=a-b", "")
HEADERS = {
    "Upload-Offset": NUMBERS, "Range": RANGES, "Content-Type": ("application/json", "x/y", "", "\xc3\xa9"),
    "Upload-Complete": ("?1", "maybe"), "Expect": ("100-continue", "nothing"), "X-" + "a" * 200: ("b" * 6000,),
}  # fmt: skip


class Fuzz:
    """Requests that are nearly right, or not at all; the same ones for the same seed."""

    def __init__(self, seed: int, tokens: list[str]) -> None:
        self.rng, self.tokens = random.Random(seed), tokens

    def path(self) -> str:
        rng = self.rng
        text = rng.choice(PATHS).replace("{domain}", rng.choice(["rescue-domain"] * 6 + ["other", "Rescue-Domain", "x" * 70, "%2e"]))
        text = text.replace("{hex}", rng.choice([rng.randbytes(32).hex()] * 3 + [rng.randbytes(31).hex(), "A" * 64, "g" * 64]))
        if rng.random() < 0.4:
            at = rng.randrange(1, len(text) + 1)
            text = text[:at] + rng.choice(PIECES) + text[at:]
        return text

    def token(self) -> str:
        rng, text = self.rng, self.rng.choice(self.tokens)
        kind = rng.randrange(6)
        if kind == 0 and len(text) > 9:
            at = rng.randrange(len(text))
            return text[:at] + rng.choice("Aa0._-~=%") + text[at + 1 :]
        made = f"asl1.{rng.randbytes(40).hex()}.{'A' * 43}"
        return (text, text[: rng.randrange(len(text))], f"{text}.{text}", text.upper(), made, text)[kind]

    def headers(self) -> list[tuple[str, str]]:
        rng = self.rng
        found: list[tuple[str, str]] = []
        for _each in range(rng.choice([1, 1, 1, 1, 0, 2])):
            scheme = rng.choice(["Bearer"] * 6 + ["bearer", "Basic", ""])
            found.append(("Authorization", f"{scheme} {self.token()}"))
        for name, values in HEADERS.items():
            found += [(name, rng.choice(values)) for _each in range(rng.choice([0, 0, 1, 2]))]
        return found

    def body(self) -> bytes:
        rng = self.rng
        return rng.choice([
            b"", rng.randbytes(32), rng.randbytes(33), rng.randbytes(320), b"{}", b"[" * 5000, b'{"a":' * 2000, b"null", b"\xff\xfe{}",
            b'{"domain":"rescue-domain","labels":{},"sources":[]}', b'{"domain":"rescue-domain","labels":[],"sources":{}}',
            b'{"domain":1e999,"labels":{"\\ud800":1},"sources":[[[]]]}', b"ASRBLK01" + rng.randbytes(200), b"ASRSEG01" + rng.randbytes(500),
        ])  # fmt: skip


def test_fuzzed_paths_headers_bodies_and_tokens(gateway: tuple[Site, Replica]) -> None:
    """Whatever comes: never a 5xx, a reason with every refusal, and nothing is stored."""
    site, replica = gateway
    store = site.place / "rescue-domain"
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    fuzz = Fuzz(20261125, [site.token("add"), site.token("read"), site.token("add", "read"), site.token("add", lifetime=-5), "x"])
    context, seen = ssl.create_default_context(cafile=str(site.certificate)), Counter[int]()
    connection = http.client.HTTPSConnection("localhost", replica.port, timeout=20, context=context)
    for at in range(FUZZED):
        method = fuzz.rng.choice(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
        path, headers, body = fuzz.path(), fuzz.headers(), fuzz.body()
        if method == "POST" and "artifacts" in path:
            continue  # whatever is sent there may be kept
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            said = answer.read()
        except http.client.InvalidURL:
            continue  # not to be sent at all
        except (BrokenPipeError, ConnectionError, http.client.HTTPException):
            connection.close()  # refused before its body was taken
            continue
        what = (at, method, path[:200], headers, body[:60], answer.status, said[:300])
        assert answer.status < 500, what
        if answer.status >= 400 and method != "HEAD" and answer.getheader("content-type") == "application/json":
            assert json.loads(said)["reason"] and json.loads(said)["error"], what
        elif answer.status >= 400 and method != "HEAD":
            assert said == b"Invalid HTTP request received.", what
        seen[answer.status] += 1
        if answer.will_close:
            connection.close()
    assert sum(count for status, count in seen.items() if status >= 400) > FUZZED // 2, seen
    assert len(seen) >= 6, f"many kinds of answers were met: {seen}"
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert not [line for line in replica.log.read_text().splitlines() if '"status": 5' in line or "Traceback" in line]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x00 GET", b"GET /%00%ff/..%2f HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT /v1/rescue-domain/blocks/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /v1/rescue-domain/missing HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/rescue-domain/missing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"BREW /v1/meta HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /v1/meta HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer asl1.\xff\xfe.x\r\n\r\n",
        b"GET /v1/meta HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\nAuthorization: Bearer x\r\n\r\n",
    ],
)  # fmt: skip
def test_bytes_that_are_no_request(gateway: tuple[Site, Replica], raw: bytes) -> None:
    site, replica = gateway
    context = ssl.create_default_context(cafile=str(site.certificate))
    with socket.create_connection(("127.0.0.1", replica.port), 10) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.settimeout(10)
        tls.sendall(raw)
        head = tls.recv(4096)
    assert head.split(b" ")[1][:1] == b"4", head
