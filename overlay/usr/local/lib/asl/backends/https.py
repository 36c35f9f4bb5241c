# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a gateway: several connections, each used again; tried again until they are answered.

What can be tried again: everything. All names are digests or create-only, so a request whose answer was lost may be sent a second
time and ends in the same state and the same answer.

    lost connection, no answer in time, 408 429 500 502 503 504    again, after a pause that doubles, with chance in it
    any other answer of 400 and above                              the error that the gateway gave, with its reason
    a certificate that is not trusted                              an error at once
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional
from urllib.parse import urlsplit

from asl import endpoint
from asl.backends.remote import PATIENCE, Remote
from asl.endpoint import Unreachable
from asl.errors import AslError, Conflict, NotFound, Unavailable
from asl.formats.artifact import Buffer

FIRST_PATIENCE = 20.0  # seconds until the first answer ever, so that a person who mistyped an address is told soon
PAUSE, LONGEST_PAUSE = 0.2, 8.0
SLICE = 256 * 1024  # bytes handed to TLS at once: where 1.1 GB/s were measured over the loopback
AGAIN = (408, 429, 500, 502, 503, 504)
_FAMILIES: Mapping[int, type[AslError]] = {404: NotFound, 409: Conflict, 412: Conflict}


class Answer(NamedTuple):
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(Unavailable):
    """The connection broke before the answer was whole."""

    default_reason = "CONNECTION_LOST"


class Limiter:
    """Holds senders to a rate, all connections together. A burst of a second is free."""

    def __init__(self, rate: int) -> None:
        self._rate, self._free_at = rate, 0.0
        self._mutex = threading.Lock()

    def take(self, count: int) -> None:
        """Wait until COUNT bytes may be sent."""
        if not self._rate:
            return
        with self._mutex:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - 1.0) + count / self._rate
            ahead = self._free_at - now
        if ahead > 0:
            time.sleep(ahead)


class Patience:
    """When to try again, and when to give up: counted from the last answer that anybody got."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._seconds = seconds
        self._answered, self._first = time.monotonic(), True

    def answered(self) -> None:
        """An answer came."""
        self._answered, self._first = time.monotonic(), False

    def pauses(self) -> Iterator[float]:
        """The pauses between attempts; ends when it is time to give up."""
        pause, began = PAUSE, time.monotonic()
        limit = min(FIRST_PATIENCE, self._seconds) if self._first else self._seconds
        while time.monotonic() - max(self._answered, began if self._first else 0.0) < limit:
            yield pause * random.uniform(0.5, 1.0)
            pause = min(2 * pause, LONGEST_PAUSE)


class Connections:
    """The connections to one gateway. Safe in several threads."""

    def __init__(self, remote: Remote) -> None:
        parts = urlsplit(remote.url)
        self.remote = remote
        self.base = parts.path.rstrip("/")
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._trust = endpoint.trust(remote.ca)
        self._idle: list[http.client.HTTPConnection] = []
        self._mutex = threading.Lock()
        self._limiter = Limiter(remote.bandwidth)
        self.patience = Patience(remote.patience)
        self.bytes_sent = 0

    def request(self, method: str, path: str, body: Buffer = b"", headers: Optional[Mapping[str, str]] = None) -> Answer:
        """The answer to one request, whatever its status. Raises Lost, Unreachable. One attempt."""
        connection, fresh = self._take()
        try:
            connection.putrequest(method, self.base + path, skip_accept_encoding=True)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders()
            early = self._send(connection, body)
            response = connection.getresponse()
            found = Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            why = endpoint.words(error) if isinstance(error, (OSError, ValueError)) else type(error).__name__
            if not fresh and not isinstance(error, TimeoutError) and not body:
                return self.request(method, path, body, headers)  # an idle connection that the other side had closed
            raise Lost(f"the connection to {self._host} broke: {why}", hint="run the same command again: it goes on") from error
        if early or response.will_close:
            connection.close()
        else:
            with self._mutex:
                self._idle.append(connection)
        return found

    def _send(self, connection: http.client.HTTPConnection, body: Buffer) -> bool:
        """Send BODY; True when the other side hung up before its end: it may have answered first."""
        view = memoryview(body)
        for at in range(0, len(view), SLICE):
            piece = view[at : at + SLICE]
            self._limiter.take(len(piece))
            try:
                connection.sock.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return True
            self.bytes_sent += len(piece)
        return False

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._mutex:
            if self._idle:
                return self._idle.pop(), False
        plain = endpoint.connect(endpoint.resolve(self._host, self._port), self._port)
        try:
            secured = endpoint.handshake(plain, self._trust, self._host)
        except AslError:
            plain.close()
            raise
        secured.settimeout(self.remote.silence)
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = secured
        return connection, True

    def call(self, method: str, path: str, body: Buffer = b"", headers: Optional[Mapping[str, str]] = None) -> Answer:
        """The good answer (below 400) to a request, however often it has to be sent. Raises AslError with the gateway's reason."""
        pauses = self.patience.pauses()
        while True:
            try:
                return self.once(method, path, body, headers)
            except (Lost, Unreachable) as error:
                self.wait(pauses, error)

    def once(self, method: str, path: str, body: Buffer = b"", headers: Optional[Mapping[str, str]] = None) -> Answer:
        """As call(), in one attempt. Raises Lost, also for an answer after which it is to be tried again, Unreachable, and AslError with
        the gateway's reason."""
        found = self.request(method, path, body, headers)
        if found.status in AGAIN:
            error = problem(found, f"{method} {path}")
            raise Lost(error.message, reason=error.reason, hint=error.hint, **error.fields)
        self.patience.answered()
        if found.status >= 400:
            raise problem(found, f"{method} {path}")
        return found

    @staticmethod
    def wait(pauses: Iterator[float], error: AslError) -> None:
        """Pause before the next attempt; raise ERROR when it is time to give up."""
        pause = None if getattr(error, "lasting", False) else next(pauses, None)
        if pause is None:
            raise error
        time.sleep(pause)

    def close(self) -> None:
        """Close what is idle."""
        with self._mutex:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def problem(found: Answer, what: str) -> AslError:
    """The error that an answer of 400 and above tells."""
    try:
        value: dict[str, Any] = json.loads(found.body)
        error, reason, hint = str(value.pop("error")), str(value.pop("reason")), value.pop("hint", None)
    except (ValueError, KeyError, AttributeError, TypeError):
        value, reason, hint = {}, found.headers.get("asl-reason", "GATEWAY"), "check what stands between here and the gateway"
        error = f"{what} was answered with {found.status}, and not by an asl-gateway"
        if reason != "GATEWAY":  # to HEAD, which has no body
            error, hint = f"{what} was answered with {found.status} ({reason})", "run the same again"
    family = _FAMILIES.get(found.status, Unavailable)
    fields = {key: each for key, each in value.items() if key.isidentifier() and key not in ("message", "reason", "hint")}
    return family(f"the gateway refuses: {error}" if value or hint or reason != "GATEWAY" else error, reason=reason, hint=hint, **fields)
