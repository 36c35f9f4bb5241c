# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes. Each says which verb a token needs; what is decided below them is decided by the engine."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from asl.errors import AslError, NotFound, Unavailable, Usage
from asl.formats import canonical
from asl.names import reference_text
from asl.store.state import Snapshot
from asl.tokens import ADD, READ, Claims
from asl_gateway import API, VERSION, artifacts, bodies, openapi, peers, reads, receipts, uploads
from asl_gateway.access import Access
from asl_gateway.domain import Domain, open_domains
from asl_gateway.observe import Metrics
from asl_gateway.places import Place
from asl_gateway.problems import Invalid, answer, document
from asl_gateway.settings import Settings
from asl_gateway.spool import Spool

# Digests in one question: 3.2 MB.
MOST_DIGESTS = 100_000
MOST_ABOUT = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Gateway:
    """What every request needs, and one method a route."""

    def __init__(self, settings: Settings, place: Place, access: Access, domains: dict[str, Domain]) -> None:
        self.settings, self.place, self.access, self.domains = settings, place, access, domains
        self.metrics = Metrics()

    @classmethod
    def of(cls, settings: Settings, place: Place) -> Gateway:
        """The gateway that SETTINGS describe. Raises AslError for what cannot work."""
        access = Access(settings.token_keys or "", settings.token_revoked)
        spool = Spool(place.spool, settings.upload_space)
        spool.sweep()
        admitted = peers.of_domains(settings.federation, settings.domains, place)
        return cls(settings, place, access, open_domains(settings.domains, place, spool, admitted))

    def _domain(self, request: Request, *verbs: str) -> tuple[Domain, Claims]:
        name = request.path_params["domain"]
        claims = self.access.need(request, name, *verbs)
        return self._served(name), claims

    def _served(self, name: str) -> Domain:
        if name not in self.domains:
            raise NotFound(f"the domain {name} is not served here", reason="NO_DOMAIN", hint="check domain.id, and domains of the gateway")
        return self.domains[name]

    async def meta(self, request: Request) -> Response:
        """Who this is; with a token also what it allows."""
        claims = self.access.claims(request)
        found: dict[str, object] = {
            "service": "asl-gateway", "version": VERSION, "api": API, "time": int(time.time()),
            "limits": {"digests": MOST_DIGESTS, "block": uploads.MOST["blocks"], "segment": uploads.MOST["segments"], "answer": reads.MOST},
        }  # fmt: skip
        if claims:
            store_id = await run_in_threadpool(lambda: self._served(claims.domain).store_id)
            found |= {"domain": claims.domain, "verbs": list(claims.verbs), "expires": claims.expires, "store_id": store_id}
        return document(found)

    async def missing(self, request: Request) -> Response:
        """Packed digests in, a bitmap out."""
        domain, _claims = self._domain(request, ADD)
        packed = await bodies.whole(request, 32 * MOST_DIGESTS, self.settings.request_idle)
        if len(packed) % 32:
            raise Usage(f"{len(packed)} bytes are no whole number of digests", reason="BAD_BODY", hint="send 32 bytes each")
        self.metrics.asked(domain.name, len(packed) // 32)
        began = time.monotonic()
        found = await run_in_threadpool(domain.missing, packed)
        timing = f"missing;dur={(time.monotonic() - began) * 1000:.1f}"
        return Response(found, 200, {"Cache-Control": "no-store", "Server-Timing": timing}, "application/octet-stream")

    async def object(self, request: Request) -> Response:
        """A block, a segment or the checkpoint of a snapshot."""
        folder, text = request.path_params["folder"], request.path_params["name"]
        if folder not in reads.FOLDERS:
            raise NotFound("there is nothing of that name")
        uploading = folder in uploads.MOST and bool(_HEX.match(text))
        if request.method == "PUT":
            domain, claims = self._domain(request, ADD)
            if not uploading:
                raise NotFound(f"{text[:80]!r} is no SHA-256 in hex")
            return await uploads.put(self, request, domain, folder, bytes.fromhex(text), claims.id)
        domain, claims = self._domain(request, READ, *([ADD] if request.method == "HEAD" and uploading else []))
        if request.method == "HEAD" and uploading and ADD in claims.verbs:
            found = await uploads.offset(domain, folder, bytes.fromhex(text), claims.id)
            if found.headers["upload-complete"] == "?0" or READ not in claims.verbs:
                return found
        return await reads.get(request, domain, reads.object_name(folder, text))

    async def listing(self, request: Request) -> Response:
        """A page of names."""
        folder = request.path_params["folder"]
        domain, _claims = self._domain(request, READ)
        if folder in reads.SINGLE:
            return await reads.get(request, domain, reads.SINGLE[folder])
        if folder not in reads.FOLDERS:
            raise NotFound("there is nothing of that name")
        return await reads.names(request, domain, folder)

    async def seal(self, request: Request) -> Response:
        """Seal a snapshot; the receipt."""
        domain, _claims = self._domain(request, ADD)
        body = await self._about(request)
        snapshot, new = await run_in_threadpool(domain.seal, body)
        if new:
            self.metrics.sealed(domain.name)
        return await self._receipt(domain, snapshot, new)

    async def find(self, request: Request) -> Response:
        """The receipt of the snapshot that has just this content, these sources and labels."""
        domain, _claims = self._domain(request, ADD, READ)
        body = await self._about(request)
        snapshot = await run_in_threadpool(domain.find, body)
        if snapshot is None:
            raise NotFound("no such snapshot is sealed", reason="NO_SNAPSHOT", hint="seal it")
        return await self._receipt(domain, snapshot, False)

    async def known(self, request: Request) -> Response:
        """Whether a snapshot of these sources with these labels is sealed; nothing else about it."""
        domain, _claims = self._domain(request, ADD, READ)
        body = await self._about(request)
        return document({"known": await run_in_threadpool(domain.knows, body)})

    async def _about(self, request: Request) -> bytes:
        body = await bodies.whole(request, MOST_ABOUT, self.settings.request_idle)
        try:
            canonical.decode(body, "the body")
        except AslError as error:
            raise Invalid(error.message, reason="BAD_BODY", hint="send canonical JSON, as docs/formats.md has it") from error
        return body

    async def _receipt(self, domain: Domain, snapshot: Snapshot, new: bool) -> Response:
        text = await run_in_threadpool(lambda: receipts.text(domain.store_id, snapshot))
        key = self.settings.receipt_key
        signature = await run_in_threadpool(receipts.sign, text, key) if key else None
        value = {
            "snapshot": str(snapshot.id), "digest": snapshot.about.manifest.hex(), "created": new, "logseq": snapshot.logseq,
            "root": snapshot.root.hex(), "about": canonical.decode(snapshot.about.encode(), "about"),
            "receipt_ref": reference_text(snapshot.about.receipt), "receipt": text.decode("ascii"), "signature": signature,
            "namespace": receipts.NAMESPACE,
        }  # fmt: skip
        return document(value, 201 if new else 200)

    async def artifact(self, request: Request) -> Response:
        """One artifact of the token's domain."""
        return await artifacts.get(request, self._of_token(request, READ), request.path_params["ref"])

    async def add_artifact(self, request: Request) -> Response:
        """Store one artifact in the token's domain."""
        return await artifacts.post(request, self._of_token(request, ADD), self.settings.request_idle)

    def _of_token(self, request: Request, verb: str) -> Domain:
        claims = self.access.claims(request)
        return self._served(self.access.need(request, claims.domain if claims else "", verb).domain)

    async def healthz(self, request: Request) -> Response:
        """The process lives."""
        return document({"ok": True})

    async def readyz(self, request: Request) -> Response:
        """Every store can be read."""
        for domain in self.domains.values():
            await run_in_threadpool(domain.ready)
        return document({"ok": True, "domains": len(self.domains)})

    async def text_of_metrics(self, request: Request) -> Response:
        """Metrics of this process."""
        return Response(self.metrics.text(), 200, {"Cache-Control": "no-store"}, "text/plain; version=0.0.4")

    async def description(self, request: Request) -> Response:
        """The OpenAPI description."""
        return document(openapi.DESCRIPTION)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, AslError)
    return answer(error)


async def _unknown(request: Request, error: Exception) -> Response:
    return answer(NotFound("there is nothing of that name", hint="GET /openapi.json describes what there is"))


async def _method(request: Request, error: Exception) -> Response:
    allowed = (getattr(error, "headers", None) or {}).get("Allow", "")
    what = Unavailable(f"{request.method[:20]} is not served here", reason="METHOD", hint=f"allowed: {allowed}", header_Allow=allowed)
    return answer(what)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the log does


async def _fault(request: Request, error: Exception) -> Response:
    return answer(AslError("a fault of the gateway itself; its log says more", reason="INTERNAL", hint="tell its operator"))


def routes(gateway: Gateway) -> list[Route]:
    """Every path, the longer ones first where two could match."""
    own = "/v1/{domain}"
    return [
        Route("/healthz", gateway.healthz),
        Route("/readyz", gateway.readyz),
        Route("/metrics", gateway.text_of_metrics),
        Route("/openapi.json", gateway.description),
        Route("/v1/meta", gateway.meta),
        Route("/v1/artifacts", gateway.add_artifact, methods=["POST"]),
        Route("/v1/artifacts/{ref}", gateway.artifact),
        Route(own + "/missing", gateway.missing, methods=["POST"]),
        Route(own + "/snapshots/find", gateway.find, methods=["POST"]),
        Route(own + "/snapshots/known", gateway.known, methods=["POST"]),
        Route(own + "/snapshots", gateway.seal, methods=["POST"]),
        Route(own + "/{folder}", gateway.listing),
        Route(own + "/{folder}/{name}", gateway.object, methods=["GET", "PUT"]),
    ]


def application(gateway: Gateway) -> Starlette:
    """The ASGI application, without what stands around it (asl_gateway.around)."""

    @contextlib.asynccontextmanager
    async def life(_app: Starlette) -> AsyncIterator[None]:
        yield

    handlers = {AslError: _failed, ClientDisconnect: _gone, Exception: _fault, 404: _unknown, 405: _method}
    return Starlette(routes=routes(gateway), exception_handlers=handlers, lifespan=life)
