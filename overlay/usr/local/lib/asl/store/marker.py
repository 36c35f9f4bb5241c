# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""meta/asl-store: says that this is a store, of which format version, and gives it an id.

Canonical JSON: format "asl-store", version 1, encoding_profile 1, hash_id 1, store_id (32 hex), check (SHA-256 over the
canonical JSON of the other keys). The version is looked at before anything else, so that a newer store is refused by its own
number and not by a checksum that may be made in another way there.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Optional

from asl.backends import layout
from asl.backends.base import Reads
from asl.backends.posix import PosixReads
from asl.errors import Damaged, NotFound, Refused, Unsupported
from asl.formats import canonical

VERSION = 1


def new_id() -> str:
    """A store id: 128 random bits, in hex."""
    return os.urandom(16).hex()


def encode(store_id: str) -> bytes:
    """The bytes of the marker."""
    fields: dict[str, Any] = {"format": "asl-store", "version": VERSION, "encoding_profile": 1, "hash_id": 1, "store_id": store_id}
    return canonical.encode({**fields, "check": hashlib.sha256(canonical.encode(fields)).hexdigest()})


def check(backend: Reads) -> str:
    """The id of the store. Raises NotFound, Unsupported for a newer format, Damaged."""
    data = backend.read(layout.MARKER)
    try:
        value = json.loads(data)
        version, store_id = value["version"], value["store_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{backend.location}: the marker meta/asl-store makes no sense: {error}", reason="BAD_MARKER") from error
    if isinstance(version, int) and version > VERSION:
        raise Unsupported(
            f"the store at {backend.location} has format version {version}; this engine knows versions up to {VERSION}",
            hint="use a newer asl.rescue; nothing was changed",
        )
    if data != encode(str(store_id)):
        raise Damaged(f"{backend.location}: the marker meta/asl-store is damaged", reason="BAD_MARKER")
    return str(store_id)


def undamaged(data: bytes) -> bool:
    """True when the marker DATA, of whatever version, is as it was written: its own `check` fits."""
    try:
        value = json.loads(data)
        stated = value.pop("check")
        return bool(hashlib.sha256(canonical.encode(value)).hexdigest() == stated)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def present(location: str) -> Optional[str]:
    """The id of the store at LOCATION, None when there is none. Raises as check()."""
    try:
        return check(PosixReads(location))
    except NotFound:
        return None


def refuse_foreign(location: str) -> None:
    """Raise Refused when LOCATION is a directory with something else in it than an unfinished store."""
    try:
        names = set(os.listdir(location))
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise Refused(f"{location}: cannot make a store there: it is not a directory", reason="NOT_A_DIRECTORY") from error
    foreign = sorted(names - set(layout.FOLDERS) - {"lost+found"})
    if foreign:
        raise Refused(
            f"{location}: cannot make a store there: the directory holds {foreign[0]!r}", reason="NOT_EMPTY", hint="name an empty directory"
        )
