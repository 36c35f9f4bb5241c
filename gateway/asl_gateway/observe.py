# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators see: metrics for Prometheus, and one JSON line a request. No token, no key, no content in either."""

from __future__ import annotations

import json
import logging
import sys
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from asl.errors import AslError

log = logging.getLogger("asl_gateway")


class Metrics:
    """Counters of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        self._requests = Counter("asl_gateway_requests", "Requests answered", ["call", "method", "status"], registry=here)
        self._seconds = Histogram(
            "asl_gateway_request_seconds", "Time to the end of the answer", ["call"],
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600), registry=here,
        )  # fmt: skip
        self._objects = Counter("asl_gateway_objects_stored", "Blocks and segments that were new", ["domain", "kind"], registry=here)
        self._bytes = Counter("asl_gateway_bytes_stored", "Bytes of new blocks and segments", ["domain", "kind"], registry=here)
        self._asked = Counter("asl_gateway_digests_asked", "Digests in questions for what is missing", ["domain"], registry=here)
        self._sealed = Counter("asl_gateway_snapshots_sealed", "Snapshots sealed", ["domain"], registry=here)
        self.running = Gauge("asl_gateway_requests_running", "Requests being worked on", registry=here)

    def stored(self, domain: str, kind: str, size: int) -> None:
        """SIZE bytes of a new object; 0: it was there."""
        if size:
            self._objects.labels(domain, kind).inc()
            self._bytes.labels(domain, kind).inc(size)

    def asked(self, domain: str, count: int) -> None:
        """COUNT digests were asked for."""
        self._asked.labels(domain).inc(count)

    def sealed(self, domain: str) -> None:
        """A snapshot was sealed."""
        self._sealed.labels(domain).inc()

    def answered(self, call: str, method: str, status: int, seconds: float) -> None:
        """A request is over."""
        known = method if method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH") else "other"
        self._requests.labels(call, known, str(status)).inc()
        self._seconds.labels(call).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": round(record.created, 3), "level": record.levelname.lower(), "message": record.getMessage()}
        fields.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0]:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True)


def configure(level: str) -> None:
    """JSON lines to stderr, for the journal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in ("asl_gateway", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level.upper() if name == "asl_gateway" else "WARNING")
        logger.propagate = False


def request_line(call: str, method: str, status: int, began: float, **fields: object) -> None:
    """One line for one request."""
    level = logging.WARNING if status >= 500 else logging.INFO
    fields = {"call": call, "method": method, "status": status, "seconds": round(time.monotonic() - began, 4), **fields}
    log.log(level, "request", extra={"fields": {key: value for key, value in fields.items() if value not in (None, "")}})


def peer_line(domain: str, peer: str, error: AslError | None) -> None:
    """One line when the PEER of DOMAIN cannot be read any more, and one when it can again (ERROR is None)."""
    if error is None:
        log.warning("the peer can be read again", extra={"fields": {"domain": domain, "peer": peer}})
        return
    fields = {"domain": domain, "peer": peer, "reason": error.reason, "error": error.message, "hint": error.hint}
    log.warning("the peer cannot be read; what it has is sent", extra={"fields": fields})
