# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes as they come over the wire, however they are cut: what of a body has come is kept, and never more than was sent."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest
from rig.gateway import Replica, Site, running

from asl import endpoint
from asl.formats import artifact, block

IDLE = 3  # seconds


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Replica]]:
    with running(tmp_path_factory.mktemp("wire"), **{"limit.idle": str(IDLE)}) as found:
        yield found


def a_block(seed: int, size: int) -> bytes:
    """A block with one artifact of SIZE bytes."""
    payload = random.Random(seed).randbytes(size)
    encoded = artifact.header(size, None) + payload
    return block.Header().encode() + encoded + block.encode_tail(len(encoded), len(encoded), (0,))


class Line:
    """One TLS connection, by hand."""

    def __init__(self, site: Site, replica: Replica, token: str) -> None:
        plain = socket.create_connection(("127.0.0.1", replica.port), 60)
        self.socket: ssl.SSLSocket = endpoint.trust(str(site.certificate)).wrap_socket(plain, server_hostname="localhost")
        self._token = token

    def head(self, method: str, path: str, **headers: object) -> bytes:
        """The head of a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self._token}"]
        return "\r\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]).encode()

    def answer(self, method: str) -> tuple[HTTPResponse, bytes]:
        """The next answer."""
        response = HTTPResponse(self.socket, method=method)
        response.begin()
        return response, response.read()


def path_of(data: bytes) -> str:
    return f"/v1/rescue-domain/blocks/{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("cuts", [(), (1,), (1, 70_000, 70_001, 600_000), tuple(range(0, 1_300_000, 16_000))])
def test_requests_are_the_same_however_they_are_cut(gateway: tuple[Site, Replica], cuts: tuple[int, ...]) -> None:
    site, replica = gateway
    line, data = Line(site, replica, site.token("add", "read")), a_block(len(cuts), 1_200_000)
    # The second upload and a question come in the same bytes as the end of the first one.
    other = a_block(1000 + len(cuts), 300)
    sent = line.head("PUT", path_of(data), Content_Length=len(data)) + data
    sent += line.head("PUT", path_of(other), Content_Length=len(other)) + other + line.head("HEAD", path_of(data))
    for start, end in zip((0, *cuts), (*cuts, len(sent))):
        line.socket.sendall(sent[start:end])
    for each in (data, other):
        response, body = line.answer("PUT")
        assert (response.status, json.loads(body)["created"]) == (201, True), body
        kept = site.place / "rescue-domain" / "blocks" / hashlib.sha256(each).hexdigest()[:2]
        assert [found.read_bytes() for found in kept.glob(f"{hashlib.sha256(each).hexdigest()}*")] == [each]
    assert line.answer("HEAD")[0].status in {200, 204}
    line.socket.close()


@pytest.mark.parametrize("part", [1, 65_536, 300_001, 1_000_000])
def test_what_came_before_silence_is_kept_to_the_byte(gateway: tuple[Site, Replica], part: int) -> None:
    site, replica = gateway
    token = site.token("add")  # uploads of different tokens are kept apart
    line, data = Line(site, replica, token), a_block(part, 1_500_000)
    line.socket.sendall(line.head("PUT", path_of(data), Content_Length=len(data)) + data[:part])
    response, body = line.answer("PUT")  # after IDLE seconds
    assert (response.status, json.loads(body)["reason"]) == (408, "SLOW"), body
    line.socket.close()
    again = Line(site, replica, token)
    again.socket.sendall(again.head("HEAD", path_of(data)))
    assert again.answer("HEAD")[0].headers["Upload-Offset"] == str(part)
    again.socket.sendall(again.head("PUT", path_of(data), Content_Length=len(data) - part, Upload_Offset=part) + data[part:])
    assert again.answer("PUT")[0].status == 201
    again.socket.close()
