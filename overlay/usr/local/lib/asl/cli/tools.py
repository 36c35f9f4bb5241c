# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three tools and their commands, each with its one line of help."""

from __future__ import annotations

VERSION = "0.1.0"

TOOLS: dict[str, tuple[str, dict[str, str]]] = {
    "asl-intake": (
        "Find out what is on this machine and read it into an ASL store.",
        {
            "preflight": "find out where an intake could go; changes nothing",
            "survey": "show every disk, what is on it and what could be taken; changes nothing",
            "run": "read sources into a store as one sealed snapshot, here and now",
            "submit": "queue an intake, or join the one that is already queued or running",
            "status": "show jobs, or one job",
            "wait": "wait for a job to end",
            "cancel": "stop a job; what it has stored stays and is used by the next run",
            "serve": "work through the queue (what asl-intake.service runs)",
        },
    ),
    "asl-admin": (
        "Look into a store, get data back, keep it in order.",
        {
            "init": "make an empty store",
            "put": "store one file as an artifact and print its reference",
            "get": "write the bytes of an artifact to stdout or a file",
            "status": "show the state of a store",
            "snapshots": "list snapshots",
            "show": "show one snapshot: sources, sizes, losses, receipt",
            "ls": "list a directory of a snapshot",
            "map": "write which parts of a disk were read, as a ddrescue mapfile",
            "hits": "name the files that lie where a disk could not be read",
            "cat": "write one file of a snapshot to stdout",
            "restore": "write a snapshot, or a part of it, back to a directory, a file or a device",
            "verify": "read back what snapshots reach and check every digest; or hold the source against a snapshot",
            "receipt": "write the receipt of a snapshot, signed on request, to be kept away from the store",
            "prove": "check the chain from a receipt over the log to every byte of a snapshot; one verdict",
            "heal": "make damaged or lost blocks whole from another store; list by file what cannot be healed",
            "gc-check": "say what no snapshot reaches; removes nothing",
            "pin": "mark a snapshot as never to be removed",
            "unpin": "take the mark away again",
            "pool": "list ZFS pools, import them as a source or as the backend, export them",
            "tombstone": "hide an artifact, or lift the tombstone again",
            "token": "make keys and capability tokens for a gateway, and show what a token allows",
        },
    ),
    "asl-debug": (
        "Low-level inspection: the bytes of a store and of the overlay.",
        {
            "log": "print the log, record by record",
            "segment": "print the index entries of a segment",
            "block": "print what a block holds",
            "artifact": "print one artifact: type, size, location, content",
            "check": "check every byte of a store and name each fault",
            "overlay": "hold this system against the overlay contract",
            "bench": "measure reading, cutting, hashing, look-up, writing and syncing on this machine",
        },
    ),
}
