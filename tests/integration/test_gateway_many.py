# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many at once: writers that commit to one domain through two replicas, a large question, bad requests from the description."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.support import Machine, number
from rig.gateway import Replica, Site, running

from asl.backends.gateway import MOST_DIGESTS, Gateway
from asl.backends.https import Connections, Remote
from asl.formats import recipe as recipes
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT, TAG_RECIPE
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.store import open_store
from asl.store.remote import RemoteWriter

WRITERS, ROUNDS = 8, number("ASL_ROUNDS", 3)
EXAMPLES = number("ASL_EXAMPLES", 8)


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
