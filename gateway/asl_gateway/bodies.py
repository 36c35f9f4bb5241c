# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of requests: bounded in size and in time, and never whole in memory where they may be large."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from asl.errors import Unavailable, Usage

_NUMBER = re.compile(r"[0-9]{1,15}\Z")


def number(request: Request, header: str, default: int | None = None) -> int:
    """The number in HEADER. Raises Usage."""
    given = request.headers.getlist(header)
    if not given and default is not None:
        return default
    if len(given) != 1 or not _NUMBER.match(given[0]):
        raise Usage(f"the header {header} is not one number", reason="BAD_HEADER", hint=f"send {header}: N")
    return int(given[0])


def declared(request: Request, most: int) -> int:
    """The declared length of the body, at most MOST bytes. Raises Usage, Unavailable (TOO_LARGE)."""
    if "content-length" not in request.headers:
        raise Usage("the request does not say how long its body is", reason="BAD_HEADER", hint="send Content-Length")
    length = number(request, "content-length")
    if length > most:
        raise Unavailable(f"the body has {length} bytes; here it may have {most}", reason="TOO_LARGE", hint="send less at once")
    return length


async def pieces(request: Request, idle: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Unavailable (SLOW) when IDLE seconds pass without a byte, ClientDisconnect."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(idle):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Unavailable(f"nothing came for {idle:g} seconds", reason="SLOW", hint="go on where it stopped") from None
        if piece:
            yield piece


async def whole(request: Request, most: int, idle: float) -> bytes:
    """The body, at most MOST bytes. Raises Usage, Unavailable, ClientDisconnect."""
    length = declared(request, most)
    parts, got = [], 0
    async for piece in pieces(request, idle):
        parts.append(piece)
        got += len(piece)
    if got != length:
        raise ClientDisconnect
    return b"".join(parts)
