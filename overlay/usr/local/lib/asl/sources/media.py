# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a failing disk is to be read: what the operator may choose, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from asl.errors import Usage

# The kernel's own limit is 30 s for one try of a SCSI command, and it tries five times (drivers/scsi/sd.c).
READ_DEADLINE = 180
# Reads in a row that never came back: then the disk does not answer any more, and each further one would only cost the deadline.
SILENT = 3


def silence(deadline: float) -> str:
    """What is said of a disk that does not answer any more; DEADLINE of a read in seconds."""
    return f"{SILENT} reads in a row did not come back within {deadline:g} seconds each"


class _Media(NamedTuple):
    """The defaults are those of a disk about which nothing is known. Sizes in bytes, times in seconds."""

    map: Optional[str] = None
    """Path of a ddrescue mapfile: of a device, where to begin; of an image, which parts of it were never read."""
    retry: Optional[str] = None
    """A snapshot in the same store: what it has is taken from there, and only what it lacks is read."""
    domain_map: Optional[str] = None
    """Path of a mapfile whose finished areas are in use: they are read first."""
    skip_free: bool = False
    """What the domain map does not name is not read at all."""
    retries: int = 0
    """How often bad sectors are tried once more."""
    scrape: bool = True
    """Failed blocks are read sector by sector."""
    read_deadline: float = READ_DEADLINE  # whole seconds in a request
    max_temperature: Optional[int] = None
    """Degrees Celsius at which reading stops."""
    max_errors: Optional[int] = None
    """Failed reads after which reading stops."""
    max_error_rate: Optional[int] = None
    """Failed reads within one minute after which reading stops."""
    max_unread: Optional[int] = None
    """Bytes known to be bad after which reading stops."""
    restart: bool = False
    """What an earlier run that did not end has read is not used."""
    name_files: bool = False
    """Where not all could be read: the files that are hit are named when the snapshot is sealed."""


class Media(_Media):
    """The same, as far as it makes sense."""

    __slots__ = ()

    if not TYPE_CHECKING:  # which knows the arguments by the fields

        def __init__(self, *_given: object, **_named: object) -> None:
            self._check()

    def _check(self) -> None:
        """Raises Usage for what makes no sense."""
        for name in ("retries", "max_errors", "max_error_rate", "max_unread"):
            if (getattr(self, name) or 0) < 0:
                raise Usage(f"{name.replace('_', ' ')} cannot be negative", reason="BAD_MEDIA")
        if not 0 < self.read_deadline <= 86_400:
            raise Usage("the deadline of a read is more than 0 and at most 86400 seconds", reason="BAD_MEDIA")
        if self.skip_free and not self.domain_map:
            raise Usage("--skip-free needs --domain-map, which says what is free", reason="BAD_MEDIA")
        if self.map and self.retry:
            raise Usage("--map and --retry both say where to begin: give one", reason="BAD_MEDIA")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Media:
        """From a request. Raises Usage for a key that is not known, or a value of another kind."""
        unknown = set(document) - set(cls._fields)
        if unknown:
            raise Usage(f"{min(unknown)!r} says nothing about a disk", reason="BAD_REQUEST")
        for key, value in document.items():
            if not _fits(key, value):
                raise Usage(f"{value!r} is nothing that {key.replace('_', ' ')} could be", reason="BAD_REQUEST")
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """What differs from the defaults; for requests, so that a request without wishes stays as it was."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults[name]}


_NAMES, _FLAGS = ("map", "retry", "domain_map"), ("skip_free", "scrape", "restart", "name_files")


def _fits(key: str, value: Any) -> bool:
    if key in _NAMES:
        return value is None or (isinstance(value, str) and "\0" not in value)
    if key in _FLAGS:
        return isinstance(value, bool)
    if value is None:
        return key not in ("retries", "read_deadline")
    return isinstance(value, (int, float) if key == "read_deadline" else int) and not isinstance(value, bool)
