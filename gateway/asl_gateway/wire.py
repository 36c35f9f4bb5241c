# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of one connection: uvicorn's own, given bytes in larger pieces. What they mean is decided there; here they only get cheaper.

Left to itself, TLS is decrypted into an object for each record, which are put together, and uvicorn copies a body twice more and stops
reading for every 64 KiB of it. Here TLS is decrypted into one buffer that all connections of a process share (each is done with it before
the next one has its turn), and a body goes on as the object that the parser made. What waits is bounded: MOST bytes, and reading stops.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes decrypted at once, and bytes of a body that may wait before reading stops.
DECRYPTED, MOST = 256 << 10, 256 << 10
_BUFFER = memoryview(bytearray(DECRYPTED))


class Http(HttpToolsProtocol):
    """uvicorn's protocol, but for the way of bodies to the application."""

    def on_body(self, body: bytes) -> None:
        """BODY goes to the application: it takes bytes() of what waits, which is no copy of what is bytes already."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body = b"".join((cycle.body, body)) if cycle.body else body  # type: ignore[assignment]
        if len(cycle.body) >= MOST:
            self.flow.pause_reading()
        cycle.message_event.set()


class Wire(asyncio.BufferedProtocol):
    """What the event loop sees of a connection."""

    def __init__(self, *words: Any, **named: Any) -> None:
        self._http = Http(*words, **named)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is secured."""
        self._http.connection_made(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        """The other side takes no more for now."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._http.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """NBYTES have come."""
        self._http.data_received(_BUFFER[:nbytes])  # type: ignore[arg-type]


# uvicorn asks for nothing else of the class than what Wire has; its types know streams of bytes alone.
PROTOCOL = cast("type[asyncio.Protocol]", Wire)
