# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands around every request: how many at once, how long, one log line, one metric, and an answer for every fault."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asl.errors import AslError, Unavailable
from asl_gateway.observe import request_line
from asl_gateway.problems import answer

if TYPE_CHECKING:
    from asl_gateway.app import Gateway

log = logging.getLogger("asl_gateway")


class Around:
    """The outermost layer. Plain ASGI: bodies pass through it untouched."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app, self._gateway = app, gateway
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send)
        settings, metrics = self._gateway.settings, self._gateway.metrics
        self._running += 1
        metrics.running.set(self._running)
        try:
            if self._running > settings.requests and scope["path"] not in ("/healthz", "/metrics"):
                raise Unavailable("too many requests are being worked on", reason="BUSY", hint="come again in a moment")
            async with asyncio.timeout(settings.request_seconds):
                await self._app(scope, receive, request.send)
        except ClientDisconnect:
            request.status = request.status or 499
        except TimeoutError:
            await request.fail(Unavailable("the request took too long", reason="SLOW", hint="go on where it stopped"))
        except AslError as error:
            await request.fail(error)
        except Exception:
            log.exception("a fault of the gateway")
            await request.fail(AslError("a fault of the gateway itself; its log says more", reason="INTERNAL", hint="tell its operator"))
        finally:
            self._running -= 1
            metrics.running.set(self._running)
            request.done(self._gateway)


class _Request:
    """One request on its way."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._began = time.monotonic()
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass MESSAGE on, and remember the status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def fail(self, error: AslError) -> None:
        """Answer with ERROR, unless an answer has begun."""
        if not self.status:

            async def nothing() -> Message:
                return {"type": "http.disconnect"}

            await answer(error)(self._scope, nothing, self.send)

    def done(self, gateway: Gateway) -> None:
        """Count it and write its line. Names come from the route, so that they are few."""
        route = self._scope.get("route")
        call = getattr(route, "path", "none")
        params = self._scope.get("path_params") or {}
        domain = params.get("domain", "")
        gateway.metrics.answered(call, self._scope["method"], self.status, time.monotonic() - self._began)
        client = self._scope.get("client") or ("",)
        size = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"")[:20].decode("ascii", "replace")
        request_line(
            call, self._scope["method"][:20], self.status, self._began, client=client[0], size=size,
            domain=domain if domain in gateway.domains else "",
        )  # fmt: skip
