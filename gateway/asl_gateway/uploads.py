# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PUT and HEAD of blocks and segments: resumable by offset, hashed while they stream, create-only.

    HEAD                        204, Upload-Offset: bytes that are here, Upload-Complete: ?1 when it needs no more
    PUT, Upload-Offset: N       bytes from N to the end; 201 when it is new, 200 when it was here, 409 with the right Upload-Offset
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from asl.errors import Usage
from asl_gateway import bodies
from asl_gateway.domain import Domain
from asl_gateway.problems import document
from asl_gateway.spool import Upload

if TYPE_CHECKING:
    from asl_gateway.app import Gateway

MIB = 1 << 20
# A block of 64 MiB of content has tables besides; a segment of a million records has 44 MB.
MOST = {"blocks": 72 * MIB, "segments": 72 * MIB}
# Bytes handed to a thread at once: hashing and writing them takes far longer than the handing over.
_TOGETHER = MIB


async def offset(domain: Domain, kind: str, digest: bytes, owner: str) -> Response:
    """The answer to HEAD by a token that may add: how far the upload has come, and nothing about the object."""
    # First the offset: an upload that ends in between is gone from the spool, and has become the object.
    at = await run_in_threadpool(domain.spool.offset, domain.spool.path(owner, f"{domain.name}-{kind}", digest.hex()))
    if await run_in_threadpool(domain.has, kind, digest):
        return Response(status_code=204, headers={"Upload-Complete": "?1", "Cache-Control": "no-store"})
    return Response(status_code=204, headers={"Upload-Complete": "?0", "Upload-Offset": str(at), "Cache-Control": "no-store"})


async def put(gateway: Gateway, request: Request, domain: Domain, kind: str, digest: bytes, owner: str) -> Response:
    """Take the body in."""
    start = bodies.number(request, "upload-offset", 0)
    length = bodies.declared(request, MOST[kind] - min(start, MOST[kind]))
    if not length + start:
        raise Usage("an upload of no bytes", reason="BAD_HEADER", hint="send the object")
    if await run_in_threadpool(domain.has, kind, digest):
        return _answer(kind, digest, False, {"Connection": "close"} if length else {})
    path = domain.spool.path(owner, f"{domain.name}-{kind}", digest.hex())
    if not start:
        await run_in_threadpool(domain.spool.check_space)
    upload = await run_in_threadpool(Upload, path, start)
    try:
        await _receive(request, upload, gateway.settings.request_idle)
        if upload.at < start + length:
            raise ClientDisconnect
        if kind == "blocks":
            new = await run_in_threadpool(domain.add_block, upload, digest)
        else:
            new = (await run_in_threadpool(domain.add_segment, upload, digest))[1]
    finally:
        upload.close()
    gateway.metrics.stored(domain.name, kind, start + length if new else 0)
    return _answer(kind, digest, new, {})


async def _receive(request: Request, upload: Upload, idle: float) -> None:
    """Write and hash in a thread what came, while more is coming. What came before a cut is kept."""
    working: asyncio.Task[None] | None = None
    held: list[bytes] = []
    size = 0

    async def hand_over() -> None:
        nonlocal working, held, size
        if working:
            await working
        write: Callable[[list[bytes]], Awaitable[None]] = lambda batch: run_in_threadpool(upload.write, batch)  # noqa: E731
        working, held, size = asyncio.ensure_future(write(held)), [], 0

    try:
        with contextlib.suppress(ClientDisconnect):
            async for piece in bodies.pieces(request, idle):
                held.append(piece)
                size += len(piece)
                if size >= _TOGETHER:
                    await hand_over()
    finally:
        if held:
            await hand_over()
        if working:
            await working


def _answer(kind: str, digest: bytes, new: bool, headers: dict[str, str]) -> Response:
    value = {"name": f"{kind}/{digest.hex()}", "created": new}
    return document(value, 201 if new else 200, {"Upload-Complete": "?1", **headers})
