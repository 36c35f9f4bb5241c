# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error families, by who has to act. Every error a person can meet is one of these.

Each carries a one-sentence message, a stable ``reason`` code for machines and an optional ``hint`` (what to do next).
``exit_code`` is mapped to the process's exit status in exactly one place, ``asl.cli.main``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Optional


class AslError(Exception):
    """Base of all errors the engine raises on purpose."""

    exit_code: ClassVar[int] = 4
    default_reason: ClassVar[str] = "FAILED"

    def __init__(self, message: str, *, reason: Optional[str] = None, hint: Optional[str] = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.hint = hint
        self.fields = fields

    def document(self) -> dict[str, Any]:
        """The error as ``--json`` prints it: ``error``, ``reason``, ``hint`` and whatever fields were given."""
        return {"error": self.message, "reason": self.reason, "hint": self.hint, **self.fields}


class Usage(AslError):
    """The command line or the configuration is wrong. Nothing was tried."""

    exit_code = 2
    default_reason = "USAGE"


class Refused(AslError):
    """A safety rule forbids it; the reason code says which."""

    exit_code = 3
    default_reason = "REFUSED"


class Unavailable(AslError):
    """Something needed is not there: network, space, permission, a device, an object."""

    exit_code = 4
    default_reason = "UNAVAILABLE"


class NotFound(Unavailable):
    """No visible object has this name."""

    default_reason = "NOT_FOUND"


class Conflict(Unavailable):
    """A create-only name is taken, or another writer was first. Nothing is lost; read on and try again."""

    default_reason = "CONFLICT"


class Unsupported(Unavailable):
    """The object is of a format version this engine does not know."""

    default_reason = "UNSUPPORTED_VERSION"


class Damaged(AslError):
    """Stored bytes are not what was written."""

    exit_code = 5
    default_reason = "DAMAGED"


class Interrupted(AslError):
    """Stopped by a signal or by request; the same command run again goes on."""

    exit_code = 130
    default_reason = "INTERRUPTED"
