# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a store of many snapshots is opened and listed.

    PYTHONPATH=tests:overlay/usr/local/lib python -B -m bench.snapshots FOLDER [SNAPSHOTS]

Makes a store in FOLDER (best in tmpfs) with SNAPSHOTS (default 10,000) snapshots, each of a machine of its own, sealed one after the
other as intakes do, segments merged on the way. Prints one JSON document: CPU seconds, the best of five.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from asl.formats import canonical
from asl.formats.artifact import TAG_MANIFEST, TAG_RECEIPT
from asl.formats.snapshot import About, Manifest, SourceRoot
from asl.store import init_store, open_store, open_writer

CHUNKING = {"minimum": 16 * 1024, "average": 64 * 1024, "maximum": 256 * 1024}


def fill(folder: str, count: int) -> None:
    """Make the store, unless it is there."""
    _id, made = init_store(folder)
    with open_writer(folder) as writer:
        for number in range(count if made else 0):
            root = writer.put(b"root %d" % number)
            manifest = writer.put(Manifest((SourceRoot("tree", "tree", root, 7),), CHUNKING).encode(), TAG_MANIFEST)
            receipt = writer.put(canonical.encode({"format": "asl-receipt", "number": number}), TAG_RECEIPT)
            writer.seal_snapshot(About("bench", manifest, receipt, (f"tree:/mnt/{number}",), {}, 1_700_000_000 + number, 7, 1))


def best(action: Callable[[], object]) -> float:
    """CPU seconds of the fastest of five."""
    found = []
    for _each in range(5):
        began = time.process_time()
        action()
        found.append(time.process_time() - began)
    return round(min(found), 4)


def main(words: list[str]) -> None:
    """Make, measure, print."""
    folder, count = words[0], int(words[1]) if words[1:] else 10_000
    fill(folder, count)
    store = open_store(folder)
    found = {
        "snapshots": len(store.snapshots()),
        "open": best(lambda: open_store(folder)),
        "list": best(store.snapshots),
        "documents": best(lambda: [each.document() for each in store.snapshots()]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
