# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After an intake that could not read all of a disk: the names of the files that are hit, as notes of its source.

It begins when the snapshot is sealed: it looks at what is stored, not at the disk, and whatever becomes of it changes nothing of that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from asl.errors import AslError
from asl.hits.disk import Disk
from asl.hits.find import find, sector_of
from asl.intake.progress import Progress
from asl.store import open_store

# Files that are named in notes; `asl-admin hits` lists all.
NAMED = 200


def name_files(result: dict[str, Any], progress: Progress) -> None:
    """Add notes to those sources in RESULT that are disks with unread ranges."""
    for number, source in enumerate(result["sources"], 1):
        if source["kind"] == "device" and source["bytes_unread"]:
            progress.enter("naming files", source["source"])
            source["notes"] += _notes(result, number, source, progress)


def _notes(result: dict[str, Any], number: int, source: dict[str, Any], progress: Progress) -> list[str]:
    if "://" in result["store"]:
        return ["the files that are hit can be named where the store can be read: asl-admin hits"]
    if os.geteuid() != 0:
        return ["the files that are hit can be named by root only: asl-admin hits"]
    try:
        snapshot = open_store(result["store"]).find_snapshot(result["snapshot"])
        root = snapshot.manifest.sources[number - 1]
        disk, sector = Disk(snapshot.store, root.root, root.size), sector_of(source["details"])
        found = find(disk, source["source"], sector=sector, progress=_shown(progress))
    except AslError as error:
        return [f"the files that are hit are not named: {error}"]
    notes = []
    for each in found["volumes"]:
        name = f"partition {each['number']}" if each["number"] else "the disk"
        if each["files"] is not None:
            more = f"; {each['why']}" if each["why"] else ""
            notes.append(f"{name} ({each['type']}): {each['files_hit']} of {each['files']} files are hit{more}")
        elif each["bytes_unread"]:
            notes.append(f"{name}: files that are hit are not named: {each['why']}")
    hits = found["files"]
    notes += [f"hit{' ' + str(each['volume']) if each['volume'] else ''}: {each['path']}: {_what(each)}" for each in hits[:NAMED]]
    if len(hits) + found["files_omitted"] > NAMED:
        more = len(hits) + found["files_omitted"] - NAMED
        notes.append(f"and {more} more files: asl-admin hits {result['snapshot']} --source {number} --json lists them")
    return notes


def _shown(progress: Progress) -> Callable[[str, int], None]:
    """How the search tells how far it is: it may take hours, and is seen and can be cancelled meanwhile."""

    def looked(volume: str, count: int) -> None:
        progress.source = f"{volume}: {count} files"
        progress.tick()

    return looked


def _what(each: dict[str, Any]) -> str:
    return f"{each['bytes']} bytes" if each["what"] == "unread" and each["bytes"] else f"{each['what']}: {each['why']}"
