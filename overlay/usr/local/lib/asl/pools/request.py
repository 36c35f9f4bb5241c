# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for: which pool, as what, and which of the gates the operator opens. Nothing else reaches the command line of zpool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from asl.errors import Usage
from asl.imported import BACKEND, SOURCE
from asl.pools.codes import refused

TIMEOUT = 900.0  # seconds: a sick disk takes minutes for a read, and a pool has several


@dataclass(frozen=True)
class Request:
    """An import. ``guid`` is a decimal string; ``approved`` are the GUIDs the operator names.

    force_foreign      -f: the pool was last used by another host and never exported
    allow_missing_log  -m: the log device is gone, and with it the last seconds of synchronous writes (source only)
    allow_degraded     the pool has lost devices, and what is written into it may be lost with the next one (backend only)
    txg                -T: read the pool as of this txg; verifies the whole pool (source only)
    devices            look for members on these only, so that one of two copies can be chosen
    init               make the dataset when there is none (backend only)
    timeout            seconds that each command may take
    """

    guid: str
    role: str = SOURCE
    approved: tuple[str, ...] = ()
    force_foreign: bool = False
    allow_missing_log: bool = False
    allow_degraded: bool = False
    txg: Optional[int] = None
    devices: tuple[str, ...] = ()
    load_module: bool = False
    init: bool = False
    timeout: float = TIMEOUT
    check: bool = False

    @property
    def is_source(self) -> bool:
        """Whether the pool is one to be rescued; else it is to hold a store."""
        return self.role == SOURCE


def valid_guid(text: str) -> bool:
    """Whether this is a GUID as a decimal string: 1 to 2^64 - 1."""
    return text.isascii() and text.isdigit() and not text.startswith("0") and int(text) < 1 << 64


def validate(request: Request) -> None:
    """Raise Usage for options that do not go together, Refused (NOT_A_GUID) for a pool that is named otherwise than by its GUID."""
    if request.role not in (SOURCE, BACKEND):
        raise Usage(f"a pool is imported as source or as backend, not as {request.role}")
    backends = {"init": request.init, "allow_degraded": request.allow_degraded}
    wrong = backends if request.is_source else {"allow_missing_log": request.allow_missing_log, "txg": request.txg}
    for name, value in wrong.items():
        if value:
            raise Usage(f"{name} does not go with a pool that is imported as {request.role}", hint="see asl-admin pool import --help")
    if request.txg is not None and request.txg < 1:
        raise Usage(f"there is no transaction group {request.txg}", hint="asl-intake survey --json gives the last txg of each pool")
    if request.timeout <= 0:
        raise Usage("the timeout must be more than 0 seconds")
    _guids([request.guid, *request.approved])


def _guids(words: Sequence[str]) -> None:
    for word in words:
        if not valid_guid(word):
            raise refused("NOT_A_GUID", pool=word)
