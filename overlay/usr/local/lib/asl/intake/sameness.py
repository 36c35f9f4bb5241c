# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a disk is still the one that stored bytes came from: asked before more is added to them.

What went before may be another disk's with the same path and size (a fleet in one store, a rescue system that numbers its disks anew),
or this one's, written to since. Names choose: serial number, WWN, partition. Bytes decide: chunks from its beginning, from where its
partitions begin and from SPREAD places all over it are read again. That tells disks apart, and finds what mounting leaves in a file
system; it is no proof that not one byte has changed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Optional

from asl.errors import Usage
from asl.formats import artifact, recipe
from asl.intake.compose import Nodes, Placed, Stretch
from asl.store.contents import Payloads
from asl.store.snapshots import StoredSnapshot

# Places all over the disk; how much of a hole is looked at, in bytes.
SPREAD, PIECE = 64, 64 * 1024
Again = Callable[[int, int], bytes]


def choose(snapshot: StoredSnapshot, size: int, spec: str, now: Mapping[str, Any]) -> int:
    """The number (from 0) of the source of SNAPSHOT that is the device SPEC of SIZE bytes, of which NOW is known. Raises Usage."""
    roots, hint = snapshot.manifest.sources, f"asl-admin show {snapshot.id} says what it holds"
    sized = [number for number, each in enumerate(roots) if each.kind == "device" and each.size == size]
    if not sized:
        raise Usage(f"snapshot {snapshot.id} holds no device of {size} bytes, as {spec} is", reason="BAD_MEDIA", hint=hint)
    told = [_details(snapshot.receipt, number) for number in range(len(roots))]
    by_name = [number for number in sized if _same_names(told[number], now)]
    by_spec = [number for number in by_name or sized if snapshot.about.sources[number] == spec]
    for found in (by_name, by_spec, sized):
        if len(found) == 1:
            return found[0]
    what = f"snapshot {snapshot.id} holds {len(sized)} devices of {size} bytes, and nothing tells which of them {spec} is"
    raise Usage(what, reason="OTHER_DISK", hint="run it without --retry")


def _details(receipt: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    sources = receipt.get("sources")
    found = sources[number].get("details") if isinstance(sources, list) and number < len(sources) else None
    return found if isinstance(found, dict) else {}


def _same_names(told: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """True where both have a name that only this disk has, and it is the same, as are the partitions."""
    if any(told.get(name) != now.get(name) for name in ("partition", "start")):
        return False
    known = [name for name in ("serial", "wwn") if told.get(name) and now.get(name)]
    return bool(known) and all(told[name] == now[name] for name in known)


def difference(store: Payloads, stretches: Sequence[Stretch], again: Again, begins: Sequence[int]) -> Optional[int]:
    """Where the first place is that AGAIN reads otherwise than it stands in STORE; None where there is none.

    BEGINS: offsets that are looked at first. A place that cannot be read any more tells nothing; one that hangs ends the looking. Raises
    Damaged, NotFound."""
    nodes, last = Nodes(store), -1
    for stretch, at in _places(stretches, begins):
        placed = next(nodes.entries(stretch, at), None)
        if placed is None or placed.at == last or placed.entry.kind == recipe.UNREAD:
            continue
        last = placed.at
        try:
            if not _is_same(placed, stretch, at, again):
                return max(placed.at, stretch.start)
        except OSError as error:
            if error.errno == errno.ETIMEDOUT:
                break
    return None


def _places(stretches: Sequence[Stretch], begins: Sequence[int]) -> Iterator[tuple[Stretch, int]]:
    for at in begins:
        yield from ((each, at) for each in stretches if each.start <= at < each.end)
    total = sum(each.end - each.start for each in stretches)
    ordered = iter(sorted(stretches))
    before, stretch = 0, next(ordered, None)
    for number in range(SPREAD):
        wanted = total * number // SPREAD
        while stretch is not None and before + stretch.end - stretch.start <= wanted:
            before, stretch = before + stretch.end - stretch.start, next(ordered, None)
        if stretch is None:
            return
        yield stretch, stretch.start + wanted - before


def _is_same(placed: Placed, stretch: Stretch, at: int, again: Again) -> bool:
    """Raises OSError."""
    if placed.entry.kind == recipe.HOLE:
        start = max(at, placed.at)
        found = again(start, min(start + PIECE, placed.end, stretch.end))
        return found.count(0) == len(found)
    # Of a chunk that goes over the end of its stretch all was read as well, and all is asked for.
    return artifact.digest(again(placed.at, placed.end)) == placed.entry.digest
