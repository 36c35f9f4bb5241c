# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a remote endpoint: name, connection, certificate. Each step has a deadline and a reason of its own.

Preflight asks whether the way is open, the remote client walks it. Verification is never switched off.

    ENDPOINT_CA   the file of trusted roots cannot be used         ENDPOINT_TLS  the certificate or TLS itself is wrong
    ENDPOINT_DNS  the name has no address                          CLOCK_SKEW    our clock makes the certificate invalid
    ENDPOINT_TCP  nothing answers there
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Optional, Union

from asl.deadline import in_thread
from asl.errors import Unavailable

DNS_SECONDS = 5.0
TCP_SECONDS = 5.0  # for all addresses of the name together
TLS_SECONDS = 10.0
NOT_YET_VALID = 9  # X509_V_ERR_CERT_NOT_YET_VALID: to us the certificate begins in the future

HINTS = {
    "ENDPOINT_CA": "put the PEM file with the roots there, or unset remote.ca",
    "ENDPOINT_DNS": "check the name and /etc/resolv.conf",
    "ENDPOINT_TCP": "check routes and firewalls between here and there",
    "ENDPOINT_TLS": "check remote.ca and the clock; a portal or proxy in between looks like this too",
    "CLOCK_SKEW": "set the clock, then run the same command again",
}

Address = tuple[int, Any]


class Unreachable(Unavailable):
    """The endpoint cannot be reached; `reason` names the step. `lasting`: trying again changes nothing."""

    default_reason = "ENDPOINT_TCP"
    lasting = False


def unreachable(reason: str, detail: str, *, lasting: bool = False) -> Unreachable:
    """The error of one step, with what to do next."""
    error = Unreachable(detail, reason=reason, hint=HINTS[reason])
    error.lasting = lasting
    return error


def trust(ca: Optional[str]) -> ssl.SSLContext:
    """A context that trusts the roots in the PEM file CA, or those of the system when None; TLS 1.2 or newer. Raises Unreachable."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        why = "holds no certificate that can be read" if isinstance(error, ssl.SSLError) else (error.strerror or str(error)).lower()
        raise unreachable("ENDPOINT_CA", f"remote.ca {ca}: {why}", lasting=True) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of HOST, each (family, address). Raises Unreachable."""
    try:
        found = in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), DNS_SECONDS)
    except TimeoutError as error:
        raise unreachable("ENDPOINT_DNS", f"the name server gave no answer for {host} within {DNS_SECONDS:g} seconds") from error
    except (OSError, UnicodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise unreachable("ENDPOINT_DNS", f"the name {host} cannot be resolved: {why}") from error
    addresses: list[Address] = []
    for family, _kind, _protocol, _name, address in found:
        if (int(family), address) not in addresses:
            addresses.append((int(family), address))
    return addresses


def connect(addresses: Sequence[Address], port: int) -> socket.socket:
    """A connection to the first of ADDRESSES that answers. Raises Unreachable."""
    end = time.monotonic() + TCP_SECONDS
    why = "it has no address"
    for left, (family, address) in zip(range(len(addresses), 0, -1), addresses):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.1, (end - time.monotonic()) / left))
            connection.connect(address)
        except OSError as error:
            connection.close()
            why = f"{address[0]} port {port}: {words(error)}"
            continue
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a small question waits for no acknowledgement
        return connection
    raise unreachable("ENDPOINT_TCP", f"no connection to {why}")


def handshake(connection: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """CONNECTION under TLS, the certificate checked against HOST. Raises Unreachable."""
    connection.settimeout(TLS_SECONDS)
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == NOT_YET_VALID:
            what = f"to our clock the certificate of {host} is not valid yet, so the clock is behind"
            raise unreachable("CLOCK_SKEW", what, lasting=True) from error
        raise unreachable("ENDPOINT_TLS", f"the certificate of {host} is not trusted: {error.verify_message}", lasting=True) from error
    except (OSError, ValueError) as error:
        raise unreachable("ENDPOINT_TLS", f"{host} does not speak TLS with us: {words(error)}") from error


def words(error: Union[OSError, ValueError]) -> str:
    """What the system says about ERROR, in lower case."""
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "no answer in time"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    code = getattr(error, "errno", None)
    return os.strerror(code).lower() if code else str(error).lower()
