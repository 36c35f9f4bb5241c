# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI description of the API. Served at /openapi.json; the tests fuzz the gateway from it."""

from __future__ import annotations

from typing import Any

from asl_gateway import VERSION

_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ERROR = {
    "type": "object",
    "required": ["error", "reason", "hint"],
    "properties": {"error": {"type": "string"}, "reason": {"type": "string"}, "hint": {"type": ["string", "null"]}},
}
_REFUSED = {
    "description": "Refused; the reason says why",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def _path(name: str, pattern: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string", "pattern": pattern}}


_DOMAIN = _path("domain", "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", "the domain, as the token names it")
_SHA256 = _path("name", "^[0-9a-f]{64}$", "SHA-256 of the bytes of the object")
_OFFSET = {
    "name": "Upload-Offset", "in": "header", "required": False, "description": "where the body begins in the object (0)",
    "schema": {"type": "integer", "minimum": 0, "maximum": 75497472},
}  # fmt: skip
_RANGE = {"name": "Range", "in": "header", "required": False, "schema": {"type": "string", "pattern": "^bytes=[0-9]{1,9}-[0-9]{0,9}$"}}


def _call(text: str, good: dict[str, str], *parameters: dict[str, Any], verb: str = "", body: Any = None, answer: Any = None) -> Any:
    content = {"application/json": {"schema": {"type": "object"}}} if answer is None else answer
    responses: dict[str, Any] = {
        code: {"description": what, **({"content": content} if content and code != "204" else {})} for code, what in good.items()
    }
    found: dict[str, Any] = {"summary": text, "parameters": list(parameters), "responses": {**responses, "4XX": _REFUSED, "5XX": _REFUSED}}
    if verb:
        found["security"] = [{"token": [verb]}]
        found["description"] = f"Needs a token with the verb {verb}."
    if body:
        found["requestBody"] = {"required": True, "content": body}
    return found


def _upload(kind: str, text: str) -> Any:
    head = _call("How far an upload has come", {"204": "Upload-Offset, Upload-Complete", "200": "The whole object is here"},
                 _DOMAIN, _SHA256, verb="add", answer={})  # fmt: skip
    put = _call(text, {"200": "It was here", "201": "It is here now"}, _DOMAIN, _SHA256, _OFFSET, verb="add", body=_BINARY)
    found = {"head": head, "put": put}
    if kind == "blocks":
        found["get"] = _call("The block", {"200": "All of it", "206": "A range"}, _DOMAIN, _SHA256, _RANGE, verb="read", answer=_BINARY)
    return found


def _listing(folder: str) -> Any:
    after = {"name": "after", "in": "query", "required": False, "schema": {"type": "string", "maxLength": 100}}
    return _call(f"A page of names in {folder}", {"200": "names, next"}, _DOMAIN, after, verb="read")


def _single(text: str) -> Any:
    return {"get": _call(text, {"200": "All of it", "206": "A range"}, _DOMAIN, _RANGE, verb="read", answer=_BINARY)}


_ABOUT = {"application/json": {"schema": {"type": "object", "required": ["domain", "manifest", "receipt", "sources", "labels"]}}}
_KNOWN = {"application/json": {"schema": {"type": "object", "required": ["domain", "labels", "sources"]}}}
_RECEIPT = {"200": "It is sealed already: its receipt", "201": "It is sealed now: its receipt"}
_NUMBER = _path("number", "^[0-9]{12}$", "the number of the object in the store")
_REF = _path("ref", "^0001[0-9a-f]{64}$", "a reference")
_FORMAT = {"name": "format", "in": "query", "required": False, "schema": {"enum": ["raw", "artifact", "info"]}}
_ARTIFACT = {**_BINARY, "application/json": {"schema": {"type": "object"}}}

_PATHS: dict[str, Any] = {
    "/healthz": {"get": _call("The process lives", {"200": "ok"})},
    "/readyz": {"get": _call("Every store can be read", {"200": "ok"})},
    "/metrics": {"get": _call("Prometheus metrics", {"200": "text"}, answer={"text/plain": {"schema": {"type": "string"}}})},
    "/openapi.json": {"get": _call("This description", {"200": "OpenAPI 3.1"})},
    "/v1/meta": {"get": _call("Who this is, limits, and what the token allows", {"200": "service, api, time, limits"})},
    "/v1/{domain}/missing": {
        "post": _call("Which of up to 100,000 packed digests are missing", {"200": "a bitmap, the lowest bit of the first byte first"},
                      _DOMAIN, verb="add", body=_BINARY, answer=_BINARY),
    },
    "/v1/{domain}/blocks/{name}": _upload("blocks", "Add a block"),
    "/v1/{domain}/segments/{name}": _upload("segments", "Add a segment whose blocks are here"),
    "/v1/{domain}/segments/{number}": {
        "get": _call("A segment", {"200": "All of it", "206": "A range"}, _DOMAIN, _NUMBER, _RANGE, verb="read", answer=_BINARY),
    },
    "/v1/{domain}/snapshots/{number}": {
        "get": _call("A checkpoint", {"200": "All of it", "206": "A range"}, _DOMAIN, _NUMBER, _RANGE, verb="read", answer=_BINARY),
    },
    "/v1/{domain}/snapshots": {
        "post": _call("Seal a snapshot; refused with what is missing", _RECEIPT, _DOMAIN, verb="add", body=_ABOUT),
        "get": _listing("snapshots"),
    },
    "/v1/{domain}/snapshots/find": {
        "post": _call("The receipt of the snapshot with this content, sources and labels", {"200": _RECEIPT["200"]},
                      _DOMAIN, verb="add", body=_ABOUT),
    },
    "/v1/{domain}/snapshots/known": {
        "post": _call("Whether a snapshot of these sources with these labels is sealed", {"200": "known"},
                      _DOMAIN, verb="add", body=_KNOWN),
    },
    "/v1/{domain}/blocks": {"get": _listing("blocks")},
    "/v1/{domain}/segments": {"get": _listing("segments")},
    "/v1/{domain}/log": _single("The log"),
    "/v1/{domain}/head": _single("The last acknowledged position of the log"),
    "/v1/{domain}/marker": _single("What says that this is a store"),
    "/v1/artifacts": {
        "post": _call("Store the body as one artifact", {"200": "It was here: ref", "201": "ref"}, verb="add", body=_BINARY),
    },
    "/v1/artifacts/{ref}": {"get": _call("One artifact", {"200": "its bytes"}, _REF, _FORMAT, verb="read", answer=_ARTIFACT)},
}  # fmt: skip

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "asl-gateway", "version": VERSION, "description": "The remote endpoint of ASL stores."},
    "paths": _PATHS,
    "components": {
        "schemas": {"Error": _ERROR},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A capability token of asl-admin token."}},
    },
}
