# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading, for tokens with the verb read: every object of a store under its name, in ranges, and lists of names in pages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from asl.backends import layout
from asl.errors import NotFound, Unavailable, Usage
from asl_gateway.domain import Domain
from asl_gateway.problems import document

# Bytes in one answer; a longer range is cut there, and the client asks for the rest.
MOST = 16 << 20
NAMES = 10_000
FOLDERS = ("blocks", "segments", "snapshots")
SINGLE = {"log": layout.LOG, "head": layout.HEAD, "marker": layout.MARKER}
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})\Z")


def range_of(request: Request, size: int) -> tuple[int, int, bool]:
    """(first byte, bytes, whether a range was asked for). Raises Unavailable (RANGE)."""
    given = request.headers.get("range")
    if given is None:
        return 0, size, False
    match = _RANGE.match(given)
    start = int(match.group(1)) if match else 0
    end = int(match.group(2)) + 1 if match and match.group(2) else size
    if not match or start >= size or end <= start:
        what = f"the range {given[:60]!r} is not within {size} bytes"
        raise Unavailable(what, reason="RANGE", hint="Range: bytes=FIRST-LAST", header_Content_Range=f"bytes */{size}")
    return start, min(end, size) - start, True


async def get(request: Request, domain: Domain, name: str) -> Response:
    """The object NAME, or a range of it."""
    backend = domain.backend()
    size = await run_in_threadpool(backend.size, name)
    start, length, ranged = range_of(request, size)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    if request.method == "HEAD":
        return Response(status_code=200, headers={**headers, "Content-Length": str(size), "Upload-Complete": "?1"})
    if length > MOST:
        length, ranged = MOST, True
    data = await run_in_threadpool(backend.read, name, start, length)
    if ranged:
        headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{size}"
    return Response(data, 206 if ranged else 200, headers, "application/octet-stream")


async def names(request: Request, domain: Domain, folder: str) -> Response:
    """A page of names behind `after`, and the `next` to go on from (null: that was all)."""
    after = request.query_params.get("after", "")
    if after and not _name_of(folder)(after):
        raise Usage("after is not a name of this folder", reason="BAD_QUERY", hint="use next of the page before")

    def page() -> list[str]:
        return list(itertools.islice((each for each in domain.backend().names(folder) if each > after), NAMES))

    found = await run_in_threadpool(page)
    return document({"names": found, "next": found[-1] if len(found) == NAMES else None})


def _name_of(folder: str) -> Callable[[str], bool]:
    if folder == "blocks":
        return lambda name: layout.parse_block(name) is not None
    return lambda name: name.startswith(folder) and layout.parse_number(name) is not None


def object_name(folder: str, text: str) -> str:
    """The name of the object that the path names. Raises NotFound."""
    name = f"blocks/{text[:2]}/{text}" if folder == "blocks" else f"{folder}/{text}"
    if not _name_of(folder)(name):
        raise NotFound(f"{text[:80]!r} names no object in {folder}")
    return name
