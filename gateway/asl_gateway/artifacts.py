# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single artifacts by their references: the part of the public amduatd API (AMDUATD/API/1) that concerns them.

    HEAD, GET /v1/artifacts/{ref}        the bytes; ?format=artifact: in their canonical encoding; ?format=info: a description
    POST /v1/artifacts                   raw bytes in, the reference out
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from asl.errors import AslError, NotFound, Usage
from asl.formats import artifact
from asl.names import parse_reference, reference_text
from asl_gateway import bodies
from asl_gateway.domain import Domain
from asl_gateway.problems import document

MOST = 64 << 20
# What is written in one go; larger things come as blocks.
MOST_POSTED = 4 << 20
FORMATS = ("raw", "artifact", "info")


async def get(request: Request, domain: Domain, text: str) -> Response:
    """One artifact. What comes back has the digest that was asked for."""
    wanted = request.query_params.get("format", "raw")
    if wanted not in FORMATS:
        raise Usage("there is no such format", reason="BAD_QUERY", hint=f"format: {', '.join(FORMATS)}")
    digest = parse_reference(text)

    def size() -> int:
        return sum(extent.length for extent in domain.view().locate(digest))

    length = await run_in_threadpool(size)
    if length > MOST:
        raise AslError(f"the artifact has {length} bytes; read its blocks", reason="TOO_LARGE")
    try:
        found = await run_in_threadpool(lambda: domain.view().get(digest))
    except NotFound as error:
        raise NotFound(error.message, reason=error.reason) from error
    info = {"ref": reference_text(digest), "type_tag": found.type_tag, "size": len(found.payload)}
    headers = {"Cache-Control": "no-store", "Accept-Ranges": "none"}
    if wanted == "info":
        return document(info)
    body = found.payload if wanted == "raw" else artifact.header(len(found.payload), found.type_tag) + found.payload
    if request.method == "HEAD":
        return Response(status_code=200, headers={**headers, "Content-Length": str(len(body))})
    return Response(body, 200, headers, "application/octet-stream")


async def post(request: Request, domain: Domain, idle: float) -> Response:
    """Store the body as one artifact."""
    payload = await bodies.whole(request, MOST_POSTED, idle)
    digest, new = await run_in_threadpool(domain.add_artifact, payload)
    return document({"ref": reference_text(digest), "created": new}, 201 if new else 200)
