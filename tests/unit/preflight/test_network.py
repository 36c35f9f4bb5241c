# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint: names, connections, certificates and clocks, against a real TLS server on the loopback with a CA of its own."""

from __future__ import annotations

import email.utils
import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from asl import endpoint
from asl.preflight import network

# The validity of a certificate that is not valid yet, or no longer, is fixed by openssl ca's own dates.
CA_CONFIG = """
[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority(NamedTuple):
    folder: Path

    @property
    def root(self) -> str:
        return str(self.folder / "ca.pem")

    def issue(self, name: str, start: str, end: str) -> tuple[str, str]:
        """A certificate for localhost and 127.0.0.1, valid from ``start`` to ``end`` (YYYYMMDDHHMMSSZ); certificate and key file."""
        key, request, certificate = (str(self.folder / f"{name}.{kind}") for kind in ("key", "csr", "pem"))
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")  # fmt: skip
        openssl("ca", "-batch", "-notext", "-config", str(self.folder / "ca.cnf"), "-in", request, "-out", certificate,
                "-startdate", start, "-enddate", end)  # fmt: skip
        return certificate, key


def openssl(*arguments: str) -> None:
    assert shutil.which("openssl"), "openssl is missing: install the package openssl"
    done = subprocess.run(["openssl", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("ca")
    (folder / "ca.cnf").write_text(CA_CONFIG.format(folder=folder))
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    key, root = str(folder / "ca.key"), str(folder / "ca.pem")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-keyout", key, "-out", root,
            "-subj", "/CN=asl test CA", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    return Authority(folder)


class Server(http.server.ThreadingHTTPServer):
    """Answers HEAD with the Date header it is given (None: without one), and remembers what was asked."""

    def __init__(self, date: object, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.date, self.context = date, context
        self.requests: list[tuple[str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        try:
            with self.context.wrap_socket(request, server_side=True) as secured:
                Answer(secured, client_address, self)
        except OSError:  # a client that does not trust us hangs up
            return

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Answer(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self.send_response_only(401)
        if isinstance(self.server.date, float):
            self.send_header("Date", email.utils.formatdate(self.server.date, usegmt=True))
        self.end_headers()


def serve(certificate: tuple[str, str], date: object) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return Server(date, context)


@pytest.fixture(scope="module")
def valid(authority: Authority) -> tuple[str, str]:
    return authority.issue("valid", "20200101000000Z", "20991231000000Z")


@pytest.fixture
def server(valid: tuple[str, str]) -> Iterator[Server]:
    running = serve(valid, time.time())
    yield running
    running.shutdown()
    running.server_close()


def test_reachable(server: Server, authority: Authority) -> None:
    found = network.check(f"https://localhost:{server.port}/asl", authority.root)
    assert (found.reachable, found.reason) == (True, None)
    assert abs(found.skew or 0) < network.DRIFT
    path, headers = server.requests[0]
    assert path == "/asl/v1/meta"
    assert set(headers) == {"Host", "Connection"}, "nothing else is told to a server that may be anybody's"


def test_an_address_instead_of_a_name(server: Server, authority: Authority) -> None:
    assert network.check(f"https://127.0.0.1:{server.port}", authority.root).reachable


@pytest.mark.parametrize(("days", "word"), [(-3, "behind"), (3, "ahead of")])
def test_clock_skew_by_the_date(days: int, word: str, server: Server, authority: Authority) -> None:
    found = network.check(f"https://localhost:{server.port}", authority.root, now=time.time() + days * 86400)
    assert (found.reachable, found.reason) == (False, "CLOCK_SKEW")
    assert f"3.0 days {word}" in found.detail


def test_no_date_is_no_failure(valid: tuple[str, str], authority: Authority) -> None:
    running = serve(valid, None)
    try:
        found = network.check(f"https://localhost:{running.port}", authority.root)
    finally:
        running.shutdown()
        running.server_close()
    assert (found.reachable, found.skew) == (True, None)


def test_a_certificate_of_another_authority(server: Server) -> None:
    found = network.check(f"https://localhost:{server.port}")
    assert (found.reachable, found.reason) == (False, "ENDPOINT_TLS")
    assert "not trusted" in found.detail
    assert server.requests == []


@pytest.mark.parametrize(
    ("start", "end", "reason", "says"),
    [
        ("20980101000000Z", "20991231000000Z", "CLOCK_SKEW", "not valid yet"),
        ("20190101000000Z", "20200101000000Z", "ENDPOINT_TLS", "expired"),
    ],
)
def test_validity(start: str, end: str, reason: str, says: str, authority: Authority) -> None:
    running = serve(authority.issue(f"v{start}", start, end), time.time())
    try:
        found = network.check(f"https://localhost:{running.port}", authority.root)
    finally:
        running.shutdown()
        running.server_close()
    assert (found.reachable, found.reason) == (False, reason)
    assert says in found.detail


def test_plain_http_behind_the_port(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nplease log in to this network")

        threading.Thread(target=answer, daemon=True).start()
        found = network.check(f"https://localhost:{port}", authority.root)
    assert (found.reachable, found.reason) == (False, "ENDPOINT_TLS")


def test_nobody_listens(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = network.check(f"https://127.0.0.1:{port}", authority.root)
    assert (found.reachable, found.reason) == (False, "ENDPOINT_TCP")
    assert "connection refused" in found.detail


def test_a_server_that_accepts_and_is_silent(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "TLS_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = network.check(f"https://127.0.0.1:{listener.getsockname()[1]}", authority.root)
    assert (found.reachable, found.reason) == (False, "ENDPOINT_TLS")
    assert "no answer in time" in found.detail


def test_no_such_name() -> None:
    found = network.check("https://asl-backend.invalid")
    assert (found.reachable, found.reason) == (False, "ENDPOINT_DNS")
    assert "asl-backend.invalid" in found.detail


def test_ca_file(tmp_path: Path) -> None:
    missing = network.check("https://localhost", str(tmp_path / "roots.pem"))
    assert missing.reason == "ENDPOINT_CA"
    assert "no such file" in missing.detail
    (tmp_path / "roots.pem").write_text("not a certificate\n")
    assert "holds no certificate" in network.check("https://localhost", str(tmp_path / "roots.pem")).detail


def test_not_set() -> None:
    assert network.check(None).reason == "ENDPOINT_NOT_SET"


def test_interfaces(tmp_path: Path) -> None:
    for name, state in (("lo", "unknown"), ("eth0", "up"), ("eth1", "down")):
        (tmp_path / "sys/class/net" / name).mkdir(parents=True)
        (tmp_path / "sys/class/net" / name / "operstate").write_text(f"{state}\n")
    assert network.interfaces_up(str(tmp_path)) == ["eth0"]
