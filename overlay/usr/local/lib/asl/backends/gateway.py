# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls of an asl-gateway (docs/remote.md), and its domain as a store to read from.

A token that may add is enough for missing, put, seal and find; reading needs one that may read.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from asl.backends import layout
from asl.backends.https import Answer, Connections, Lost
from asl.backends.remote import Remote
from asl.backends.secret import others_may_read
from asl.endpoint import Unreachable
from asl.errors import AslError, NotFound, Unavailable
from asl.formats import canonical
from asl.formats.artifact import Buffer

MOST_DIGESTS = 100_000
# After these a new token may lie in the file of the old one.
_RENEW = ("TOKEN_EXPIRED", "TOKEN_INVALID", "TOKEN_REVOKED")


class Gateway:
    """One domain of a gateway. Safe in several threads."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.location = remote.url
        self._connections = Connections(remote)
        self._own = f"/v1/{remote.domain}"
        self._token, self._mutex = "", threading.Lock()
        self.bytes_put = 0  # of blocks and segments, over the wire

    def _headers(self, added: Optional[dict[str, str]] = None) -> dict[str, str]:
        with self._mutex:
            self._token = self._token or read_token(self.remote.token_file)
            return {"Authorization": f"Bearer {self._token}", **(added or {})}

    def _renewed(self, error: AslError) -> bool:
        """True when the token was refused with ERROR, and its file has another one by now."""
        if error.reason not in _RENEW:
            return False
        with self._mutex:
            old, self._token = self._token, read_token(self.remote.token_file)
            return self._token != old

    def call(self, method: str, path: str, body: Buffer = b"", headers: Optional[dict[str, str]] = None) -> Answer:
        """As Connections.call(), with the token; with the new one where it was replaced in its file."""
        while True:
            try:
                return self._connections.call(method, path, body, self._headers(headers))
            except Unavailable as error:
                if not self._renewed(error):
                    raise

    def _ask(self, path: str, value: bytes) -> dict[str, Any]:
        """The JSON document that answers VALUE (JSON), sent to PATH of the domain."""
        return document(self.call("POST", f"{self._own}/{path}", value, {"Content-Type": "application/json"}))

    def meta(self) -> dict[str, Any]:
        """What the gateway says of itself and of the token: verbs, store_id, limits, time. Raises Unavailable for a wrong domain."""
        value = document(self.call("GET", "/v1/meta"))
        if value.get("service") != "asl-gateway":
            raise Unavailable(f"{self.location} is not an asl-gateway", reason="GATEWAY", hint="check remote.endpoint")
        if value.get("domain") != self.remote.domain:
            raise Unavailable(
                f"the token is for the domain {value.get('domain')}, not {self.remote.domain}", reason="TOKEN_DOMAIN",
                hint="check domain.id, or use a token of this domain",
            )  # fmt: skip
        return value

    def missing(self, digests: bytes) -> bytes:
        """One byte for each of DIGESTS (32 bytes each, at most MOST_DIGESTS): 1 where the domain does not have it."""
        bitmap = self.call("POST", f"{self._own}/missing", digests).body
        count = len(digests) // 32
        if len(bitmap) != -(-count // 8):
            raise Unavailable(f"{self.location} gave {len(bitmap)} bytes for {count} digests", reason="GATEWAY")
        return bytes(bitmap[number >> 3] >> (number & 7) & 1 for number in range(count))

    def put(self, kind: str, digest: bytes, data: Buffer) -> int:
        """Send the object DATA with DIGEST (kind: blocks, segments), from where an earlier attempt stopped; the bytes that were sent.

        Returns when the gateway has all of it, durable. Raises AslError."""
        path, sent, reached, restarts = f"{self._own}/{kind}/{digest.hex()}", 0, 0, 0
        pauses = self._connections.patience.pauses()
        while True:
            try:
                offset = self._offset(path)
                if offset is None:
                    return sent
                if offset > reached:  # it goes on: the next pause is a short one again
                    reached, pauses = offset, self._connections.patience.pauses()
                sent += len(data) - offset
                with self._mutex:
                    self.bytes_put += len(data) - offset
                self._put_from(path, data, offset)
                return sent
            except (Lost, Unreachable) as error:
                self._connections.wait(pauses, error)
            except AslError as error:
                if error.reason == "UPLOAD_OFFSET":
                    self._connections.wait(pauses, error)
                elif error.reason == "BAD_DIGEST" and restarts < 3:
                    restarts += 1  # what lay there of an earlier attempt was not ours: it is gone now
                else:
                    raise

    def _offset(self, path: str) -> Optional[int]:
        """How many bytes of the object are there; None when it needs no more."""
        headers = self.call("HEAD", path).headers
        if headers.get("upload-complete") == "?1":
            return None
        return int(headers.get("upload-offset", "0"))

    def _put_from(self, path: str, data: Buffer, offset: int) -> None:
        """One attempt. Another one has to ask for the offset first, so that nothing is sent twice."""
        headers = self._headers({"Upload-Offset": str(offset), "Content-Type": "application/octet-stream"})
        try:
            self._connections.once("PUT", path, memoryview(data)[offset:], headers)
        except Unavailable as error:
            if self._renewed(error):
                raise Lost(error.message, reason=error.reason) from error
            raise

    def seal(self, about: bytes) -> dict[str, Any]:
        """Seal the snapshot ABOUT (canonical JSON); the gateway's document with its receipt. `created` says whether it is new."""
        return self._ask("snapshots", about)

    def find(self, about: bytes) -> Optional[dict[str, Any]]:
        """The document of the sealed snapshot with the content, sources and labels of ABOUT; None when there is none."""
        try:
            return self._ask("snapshots/find", about)
        except Unavailable as error:
            if error.reason == "NO_SNAPSHOT":
                return None
            raise

    def knows(self, domain: str, sources: Sequence[str], labels: Mapping[str, str]) -> bool:
        """True when a snapshot of these SOURCES with these LABELS is sealed: all that a token which adds may learn of it."""
        asked = canonical.encode({"domain": domain, "sources": list(sources), "labels": dict(labels)})
        return bool(self._ask("snapshots/known", asked).get("known"))

    def get(self, path: str, first: Optional[int] = None, last: Optional[int] = None) -> Answer:
        """An object of the domain, or the bytes FIRST to LAST of it."""
        ranged = {} if first is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
        return self.call("GET", f"{self._own}/{path}", b"", ranged)

    def head(self, path: str) -> Answer:
        """The headers of an object of the domain."""
        return self.call("HEAD", f"{self._own}/{path}")

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()


def document(found: Answer) -> dict[str, Any]:
    """The JSON object in an answer. Raises Unavailable."""
    try:
        value = json.loads(found.body)
        if not isinstance(value, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise Unavailable("what answers there is not an asl-gateway", reason="GATEWAY", hint="check remote.endpoint") from error
    return value


def read_token(path: Optional[str]) -> str:
    """The token in the file PATH. Raises Unavailable (TOKEN_FILE, TOKEN_MISSING); never repeats what is in it."""
    if path is None:
        hint = "put one into /run/asl/token (mode 0600), or set remote.token-file"
        raise Unavailable("no token is at hand", reason="TOKEN_MISSING", hint=hint)
    try:
        with open(path, encoding="ascii") as file:
            if others_may_read(file.fileno()):
                raise Unavailable(f"{path}: others may read the token", reason="TOKEN_FILE", hint=f"chmod 0600 {path}, and get a new token")
            return file.read(4096).strip()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        what = f"{path}: the token cannot be read: {why}"
        raise Unavailable(what, reason="TOKEN_FILE", hint="put the token there, mode 0600") from error
    except UnicodeDecodeError as error:
        raise Unavailable(f"{path}: holds no token", reason="TOKEN_FILE", hint="put the token there, and nothing else") from error


# Blocks are read in windows, so that a restore does not wait for a round trip a chunk: bytes of a window, and windows kept.
_WINDOW, _WINDOWS = 8 << 20, 6
_LISTED = ("blocks", "segments", "snapshots")
_SINGLE = {layout.LOG: "log", layout.HEAD: "head", layout.MARKER: "marker"}


class GatewayReads:
    """A domain as a store to read from. Implements backends.base.Reads."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._windows: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._mutex = threading.Lock()

    @property
    def location(self) -> str:
        return self._gateway.location

    def path(self, name: str) -> Optional[str]:
        return None

    def read(self, name: str, offset: int = 0, length: Optional[int] = None) -> bytes:
        if layout.parse_block(name) is None or length is None:
            return self._range(name, offset, length)
        parts, end = [], offset + length
        while offset < end:
            start = offset - offset % _WINDOW
            window = self._window(name, start)
            part = window[offset - start : end - start]
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _window(self, name: str, start: int) -> bytes:
        key = (name, start)
        with self._mutex:
            if key in self._windows:
                self._windows.move_to_end(key)
                return self._windows[key]
        data = self._range(name, start, _WINDOW)
        with self._mutex:
            self._windows[key] = data
            while len(self._windows) > _WINDOWS:
                self._windows.popitem(last=False)
        return data

    def _range(self, name: str, offset: int, length: Optional[int]) -> bytes:
        parts: list[bytes] = []
        while length is None or length > 0:
            try:
                found = self._gateway.get(_path(name), offset, None if length is None else offset + length - 1)
            except Unavailable as error:
                if error.reason == "RANGE":  # it begins at or behind the end
                    break
                raise
            parts.append(found.body)
            offset += len(found.body)
            if not found.body or offset >= int(found.headers.get("content-range", "/0").rpartition("/")[2]):
                break
            length = None if length is None else length - len(found.body)
        return b"".join(parts)

    def size(self, name: str) -> int:
        headers = self._gateway.head(_path(name)).headers
        if headers.get("upload-complete") == "?0":
            raise NotFound(f"{self.location}: {name} is not there")
        return int(headers.get("content-length", "0"))

    def names(self, folder: str) -> Iterator[str]:
        if folder not in _LISTED:  # how log and head are kept is the gateway's affair
            yield from sorted(name for name in _SINGLE if name.startswith(folder + "/"))
            return
        after = ""
        while True:
            page = document(self._gateway.call("GET", f"/v1/{self._gateway.remote.domain}/{folder}{after}"))
            yield from page["names"]
            if not page.get("next"):
                return
            after = f"?after={page['next']}"


def _path(name: str) -> str:
    if name in _SINGLE:
        return _SINGLE[name]
    return name.replace(f"blocks/{name[7:9]}/", "blocks/") if name.startswith("blocks/") else name
