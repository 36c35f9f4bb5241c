# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can the remote endpoint be reached: name, connection, certificate, clock. Each step has a deadline and a reason of its own.

Verification is never switched off, and nothing but one HEAD request is sent: no token, no name of this host.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ssl
import time
from dataclasses import dataclass
from typing import Optional
from urllib.parse import urlsplit

from asl import endpoint, system
from asl.preflight.local import LocalStore

ALLOWED_SKEW = 86400  # one day: more than that breaks certificates and the order of receipts
DRIFT = 300


@dataclass(frozen=True)
class Endpoint:
    """What became of the endpoint. ``reason`` is None when it can be reached, else the code of the step that failed.

    ``skew`` is our clock minus the endpoint's, in seconds, or None where it could not be learned. It stays out of the facts that
    must be equal from run to run.
    """

    url: Optional[str]
    reachable: bool
    reason: Optional[str] = None
    detail: str = ""
    skew: Optional[int] = None


def interfaces_up(root: str = "/") -> list[str]:
    """Network interfaces that have a carrier; without the loopback."""
    names = [name for name in system.listing("/sys/class/net", root) if name != "lo"]
    return [name for name in names if system.read_text(f"/sys/class/net/{name}/operstate", root) in ("up", "unknown")]


def check(url: Optional[str], ca: Optional[str] = None, *, now: Optional[float] = None) -> Endpoint:
    """Try the endpoint, step by step. Never raises for what the network does."""
    if url is None:
        return Endpoint(None, False, "ENDPOINT_NOT_SET", "remote.endpoint is not set")
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    try:
        context = endpoint.trust(ca)
        connection = endpoint.connect(endpoint.resolve(host, port), port)
        with contextlib.closing(connection), contextlib.closing(endpoint.handshake(connection, context, host)) as secured:
            skew = _skew(secured, host, parts.path, now)
    except endpoint.Unreachable as failed:
        return Endpoint(url, False, failed.reason, failed.message)
    if skew is not None and abs(skew) > ALLOWED_SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        return Endpoint(url, False, "CLOCK_SKEW", f"our clock is {abs(skew) / 86400:.1f} days {ahead} that of {host}", skew)
    return Endpoint(url, True, None, "", skew)


def of_mount(store: LocalStore) -> Endpoint:
    """The same for remote.mount, a file system that somebody has mounted. What it promises is tried by whoever writes to it."""
    reason = None
    if store.error:
        reason = "REMOTE_NO_ANSWER"
    elif not store.mounted:
        reason = "REMOTE_NOT_MOUNTED"
    elif not store.initialised:
        reason = "REMOTE_NOT_INITIALISED"
    elif not store.writable:
        reason = "REMOTE_READ_ONLY"
    return Endpoint(store.path, reason is None, reason, store.error or "")


def _skew(secured: ssl.SSLSocket, host: str, path: str, now: Optional[float]) -> Optional[int]:
    """Our clock minus the Date header; None when the answer has none (it is reachable all the same)."""
    request = f"HEAD {path or ''}/v1/meta HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    try:
        secured.settimeout(endpoint.TLS_SECONDS)
        secured.sendall(request.encode("ascii"))
        response = http.client.HTTPResponse(secured, method="HEAD")
        response.begin()
        date = response.getheader("Date")
    except (OSError, ValueError, http.client.HTTPException):
        return None
    try:
        theirs = email.utils.parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, IndexError):
        return None
    return round((time.time() if now is None else now) - theirs)
