# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the intake of a device has come, kept in the store itself: a rescue system forgets everything when it is switched off.

The state is an artifact, and a record in the log leads to it (docs/formats.md, "Rescue state"). What it names is durable before it
is, so whoever finds it can go on from it: on another day, after a boot, from another machine with the same disk.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, Optional

from asl.backends import layout
from asl.errors import AslError, Damaged
from asl.formats import canonical, log, records, tree
from asl.formats.artifact import TAG_RESCUE
from asl.intake.compose import Stretch
from asl.names import Digest
from asl.sources.mapfile import BAD, FAILED, READ, UNSCRAPED, RescueMap
from asl.store import Writer

# Seconds between two savings: at first, and at most. Each costs a commit.
SOON, LATEST = 2.0, 60.0


def key_of(identity: Mapping[str, Any]) -> bytes:
    """The key of a device from what identifies it: text and integers."""
    return hashlib.sha256(canonical.encode(dict(identity))).digest()


class Ledger:
    """The stretches of one device that are stored, and what is known of the rest. Saved in WRITER now and then."""

    def __init__(self, writer: Writer, key: bytes, known: RescueMap, sector: int) -> None:
        self._writer, self._key, self._sector = writer, key, sector
        self.map = known
        self.stretches: list[Stretch] = []
        self.errors, self.words = 0, ""
        self._parts: list[Stretch] = []  # of the stretch that is being read
        self._began = self._saved = time.monotonic()
        self.recorded = False

    def load(self) -> bool:
        """Take over what an earlier run left; False when there is nothing that can be used."""
        found = _newest(self._writer, self._key) if self._writer.reads_back else None
        self.recorded = found is not None
        if found is None:
            return False
        try:
            state = canonical.decode(self._writer.payload(found, TAG_RESCUE), "a rescue state")
            if (state["format"], state["version"], state["size"]) != ("asl-rescue-state", 1, self.map.size):
                return False
            self._take_over(state)
        except (AslError, KeyError, TypeError, ValueError):
            return False  # reading the disk anew gives all of it
        return True

    def _take_over(self, state: Mapping[str, Any]) -> None:
        areas = [(int(start), int(end), str(status)) for start, end, status in state["areas"]]
        if any(status not in (FAILED, UNSCRAPED, BAD) for _start, _end, status in areas):
            raise Damaged("a rescue state with an unknown status", reason="BAD_RESCUE_STATE")
        known = RescueMap.of(self.map.size, areas)
        stretches = []
        for start, end, form, digest, origin in state["stretches"]:
            whole = end if form == tree.CHUNK or end == self.map.size else end - end % self._sector
            stretch = Stretch(start, whole, form, bytes.fromhex(digest), origin)
            if start < whole and whole % self._sector in (0, self.map.size % self._sector) and self._writer.has(stretch.digest):
                stretches.append(stretch)
                known.set(start, whole, READ)
        self.map, self.stretches = known, stretches
        self.errors, self.words = int(state["errors"]), str(state["words"])

    def forget(self) -> None:
        """Begin anew: what was taken over is not what is on the disk."""
        self.map, self.stretches = RescueMap(self.map.size), []
        self.errors, self.words = 0, ""

    def part(self, stretch: Stretch) -> None:
        """A part of the stretch that is being read is stored: it counts until the whole of it is."""
        self._parts.append(stretch)
        self._save()

    def add(self, stretch: Stretch) -> None:
        """A stretch is stored."""
        self._parts = []
        self.stretches.append(stretch)
        if self.due:
            self._save()

    @property
    def due(self) -> bool:
        """True when it is time to save. Never where only adding is allowed: what was sent is not sent again, but is read again."""
        now = time.monotonic()
        if not self._writer.reads_back:
            return False
        wait = max(SOON, min(LATEST, (now - self._began) / 20), len(self.stretches) / 100)
        return now - self._saved >= wait

    def _save(self) -> None:
        state = {
            "format": "asl-rescue-state", "version": 1, "size": self.map.size, "sector": self._sector,
            "areas": [list(area) for area in self.map.with_status(FAILED, UNSCRAPED, BAD)],
            "stretches": [[each.start, each.end, each.form, each.digest.hex(), each.origin] for each in [*self.stretches, *self._parts]],
            "errors": self.errors, "words": self.words,
        }  # fmt: skip
        digest = self._writer.put(canonical.encode(state), TAG_RESCUE)
        self._writer.commit()
        self._writer.record(records.RESCUE_STATE, records.encode_rescue(self._key, digest))
        self.recorded = True
        self._saved = time.monotonic()

    def finish(self) -> None:
        """The intake is over: the next one begins anew."""
        if self.recorded:
            self._writer.record(records.RESCUE_STATE, records.encode_rescue(self._key, None))


def _newest(writer: Writer, key: bytes) -> Optional[Digest]:
    found = None
    for record in log.records(writer.backend.read(layout.LOG, log.HEADER.size)):
        if record.kind == records.RESCUE_STATE:
            named, state = records.decode_rescue(record.payload)
            found = state if named == key else found
    return found
