# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an error of the engine to an answer: a status, and {error, reason, hint}. The only place where one becomes the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from asl.errors import AslError, Conflict, NotFound, Unavailable, Usage
from asl.tokens import BadToken

# Reasons whose status differs from that of their family.
_STATUS = {
    "TOKEN_VERB": 403, "TOKEN_DOMAIN": 403, "METHOD": 405, "UPLOAD_OFFSET": 409, "TOO_LARGE": 413, "SLOW": 408, "RANGE": 416,
    "NO_SPACE": 507, "FILE_TOO_LARGE": 507, "QUOTA": 507,
}  # fmt: skip
RETRY_AFTER = 2  # seconds


class Invalid(AslError):
    """What was sent is not right: the client's fault, and nothing was stored."""

    default_reason = "INVALID"


def invalid(error: AslError) -> Invalid:
    """ERROR, which the engine met in what a client sent."""
    return Invalid(error.message, reason=error.reason, hint=error.hint, **error.fields)


def status(error: AslError) -> int:
    """The status of the answer."""
    if error.reason in _STATUS:
        return _STATUS[error.reason]
    families = ((BadToken, 401), (Usage, 400), (Invalid, 422), (NotFound, 404), (Conflict, 409), (Unavailable, 503))
    return next((code for family, code in families if isinstance(error, family)), 500)  # what else there is: damage in a store


def answer(error: AslError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer for ERROR. Its fields that begin with "header_" become headers; so does the reason, since HEAD has no body to say it."""
    code = status(error)
    fields = {key: value for key, value in error.document().items() if not key.startswith("header_")}
    added = {key[7:].replace("_", "-"): str(value) for key, value in error.fields.items() if key.startswith("header_")}
    added["Asl-Reason"] = error.reason
    if code == 401:
        added["WWW-Authenticate"] = "Bearer"
    if code == 503:
        added["Retry-After"] = str(RETRY_AFTER)
    return document(fields, code, {**(headers or {}), **added})


def document(value: Mapping[str, Any], code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """VALUE as a JSON answer, ASCII, never cached."""
    body = json.dumps(value, ensure_ascii=True, default=_plain).encode("ascii") + b"\n"
    return Response(body, code, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
