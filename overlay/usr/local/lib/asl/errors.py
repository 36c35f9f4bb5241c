# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Error families, by who has to act. Every error a person can meet is one of these.

Each carries a one-sentence message, a stable ``reason`` code for machines and an optional ``hint`` (what to do next).
``exit_code`` is mapped to the process's exit status in exactly one place, ``asl.cli.main``.
"""

from __future__ import annotations

import errno
import os
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


_REASONS = {
    errno.EACCES: "PERMISSION",
    errno.EPERM: "PERMISSION",
    errno.ENOSPC: "NO_SPACE",
    errno.ENOENT: "NOT_FOUND",
    errno.EROFS: "READ_ONLY",
    errno.EIO: "IO_ERROR",
}


def as_asl_error(error: BaseException) -> AslError:
    """ERROR as a person can use it: one sentence, whatever it was."""
    if isinstance(error, AslError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped before the end", hint="run the same command again: it goes on where it stopped")
    if isinstance(error, OSError):
        return from_os_error(error)
    if isinstance(error, MemoryError):
        return AslError("there is not enough memory to go on", reason="NO_MEMORY", hint="free memory or lower --jobs")
    import traceback  # not at each start: only for what nobody foresaw

    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(os.path.dirname(where.filename))}/{os.path.basename(where.filename)}:{where.lineno}"
    what = f"a fault of the tool itself at {place}: {type(error).__name__}: {error}"
    return AslError(what, reason="INTERNAL", hint="run it again with ASL_TRACE=1 and report what it prints")


def from_os_error(error: OSError) -> AslError:
    """An operating system error that no layer below could say more about."""
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    reason = _REASONS.get(error.errno or 0, "OS_ERROR")
    return AslError(f"{where}{(error.strerror or str(error)).lower()}", reason=reason)
