# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can the remote endpoint be reached: name, connection, certificate, clock. Each step has a deadline and a reason of its own.

Verification is never switched off, and nothing but one HEAD request is sent: no token, no name of this host.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import os
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union
from urllib.parse import urlsplit

from asl import system
from asl.deadline import in_thread

DNS_SECONDS = 5.0
TCP_SECONDS = 5.0  # for all addresses of the name together
TLS_SECONDS = 10.0
ALLOWED_SKEW = 86400  # one day: more than that breaks certificates and the order of receipts
DRIFT = 300
NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID: to us the certificate begins in the future


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


class _Failed(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


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
        context = _context(ca)
        connection = _connect(_resolve(host, port), port)
        with contextlib.closing(connection), contextlib.closing(_handshake(connection, context, host)) as secured:
            skew = _skew(secured, host, parts.path, now)
    except _Failed as failed:
        return Endpoint(url, False, failed.reason, failed.detail)
    if skew is not None and abs(skew) > ALLOWED_SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        return Endpoint(url, False, "CLOCK_SKEW", f"our clock is {abs(skew) / 86400:.1f} days {ahead} that of {host}", skew)
    return Endpoint(url, True, None, "", skew)


def _context(ca: Optional[str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        why = "holds no certificate that can be read" if isinstance(error, ssl.SSLError) else (error.strerror or str(error)).lower()
        raise _Failed("ENDPOINT_CA", f"remote.ca {ca}: {why}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


Address = tuple[int, Any]


def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), DNS_SECONDS)
    except TimeoutError as error:
        raise _Failed("ENDPOINT_DNS", f"the name server gave no answer for {host} within {DNS_SECONDS:g} seconds") from error
    except (OSError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise _Failed("ENDPOINT_DNS", f"the name {host} cannot be resolved: {why}") from error
    addresses: list[Address] = []
    for family, _, _, _, address in found:
        if (int(family), address) not in addresses:
            addresses.append((int(family), address))
    return addresses


def _connect(addresses: Sequence[Address], port: int) -> socket.socket:
    end = time.monotonic() + TCP_SECONDS
    why = "it has no address"
    for left, (family, address) in zip(range(len(addresses), 0, -1), addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.1, (end - time.monotonic()) / left))
            connection.connect(address)
        except OSError as error:
            connection.close()
            why = f"{address[0]} port {port}: {_words(error)}"
            continue
        return connection
    raise _Failed("ENDPOINT_TCP", f"no connection to {why}")


def _handshake(connection: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    connection.settimeout(TLS_SECONDS)
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == NOT_YET_VALID:
            raise _Failed("CLOCK_SKEW", f"to our clock the certificate of {host} is not valid yet, so the clock is behind") from error
        raise _Failed("ENDPOINT_TLS", f"the certificate of {host} is not trusted: {error.verify_message}") from error
    except (OSError, ValueError) as error:
        raise _Failed("ENDPOINT_TLS", f"{host} does not speak TLS with us: {_words(error)}") from error


def _skew(secured: ssl.SSLSocket, host: str, path: str, now: Optional[float]) -> Optional[int]:
    """Our clock minus the Date header; None when the answer has none (it is reachable all the same)."""
    request = f"HEAD {path or ''}/v1/meta HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    try:
        secured.settimeout(TLS_SECONDS)
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


def _words(error: Union[OSError, ValueError]) -> str:
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "no answer in time"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    code = getattr(error, "errno", None)
    return os.strerror(code).lower() if code else str(error).lower()
