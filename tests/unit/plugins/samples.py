# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as the phases of a run leave it: every state, disks with maps, losses, and names that nobody would choose."""

from __future__ import annotations

import importlib
import json
import random
from typing import Any

Result = dict[str, Any]
GIB, TIB = 1 << 30, 1 << 40
OVERLAY: Result = {"changed": True, "failed": False, "actions": [f"write /usr/local/lib/asl/file{number}.py" for number in range(30)]}
MODE: Result = {
    "changed": False, "mode": "local", "reason": "LOCAL_READY", "findings": [
        {"code": "STORE_READY", "severity": "info", "text": "/mnt/asl/local is an initialised store and can be written", "hint": ""},
        {"code": "SWAP_ON", "severity": "warning", "text": "/dev/sdb2 is used as swap", "hint": "swapoff /dev/sdb2"},
    ],
}  # fmt: skip
NO_MODE: Result = {
    **MODE, "failed": True, "mode": "none", "reason": "NO_STORE",
    "msg": "there is no place for an intake: there is no store at /mnt/asl/local [NO_STORE]",
    "hint": "mount the store at /mnt/asl/local, or name one with asl_store",
    "cmd": ["/usr/bin/python3", "-B", "/usr/local/bin/asl-intake", "--json"],
}  # fmt: skip
GONE: Result = {
    "unreachable": True,
    "msg": "Task failed: Failed to connect to the host via ssh: ssh: connect to host 192.0.2.9 port 22: No route to host",
}


def cells(rng: random.Random, bad: int, untried: int = 0) -> str:
    """A map of 512 cells: files at the front, free space behind, ``bad`` places that were not read, and the end of it not tried."""
    letters = ["d"] * 512
    at = rng.randrange(150, 300)
    while at < 512:
        free, used = rng.randrange(6, 60), rng.randrange(2, 30)
        letters[at : at + free] = "z" * len(letters[at : at + free])
        at += free + used
    for _place in range(bad):
        letters[rng.randrange(40, 280)] = "u"
    letters[512 - untried :] = "n" * untried
    return "".join(letters)


def loss(what: str, where: str) -> Result:
    """Something that could not be read."""
    return {"what": what, "where": where, "why": "Input/output error"}


def smart(reallocated: int, pending: int, temperature: int) -> Result:
    """The health of a disk."""
    return {"passed": True, "reallocated": reallocated, "pending": pending, "temperature": temperature}


def receipt(number: int, digest: str, lost: int) -> Result:
    """What vouches for a snapshot: signed for every other host."""
    intake = {
        "format": "asl-receipt", "version": 1, "engine": "asl.rescue 0.1.0", "host": f"web{number:02}", "began": 1_790_000_000,
        "ended": 1_790_003_600, "result": "losses" if lost else "complete",
    }  # fmt: skip
    text = {
        "digest": digest, "domain": "rescue-domain", "format": "asl-attestation", "intake": intake, "link": "ab" * 32, "logseq": 12,
        "receipt": "0001" + "cd" * 32, "root": "ef" * 32, "sealed": 1_790_003_601, "snapshot": str(number + 1), "store_id": "12" * 16,
        "version": 1,
    }  # fmt: skip
    signed = {"signature": "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n", "why": None}
    unsigned = {"signature": None, "why": "no key was named"}
    words = json.dumps(text, sort_keys=True, separators=(",", ":"))
    return {"by": "host", "text": words, "namespace": "receipt@asl.rescue", **(unsigned if number % 2 else signed)}


def taken(rng: random.Random, number: int, *, bad: int = 0, untried: int = 0, file: bool = False) -> Result:
    """The end of an intake, of a disk and a file system."""
    disk, tree = rng.randrange(200, 4000) * GIB, rng.randrange(2, 90) * GIB
    found = cells(rng, bad, untried)
    cell = disk // 512
    unread = [[at * cell + 4096 * rng.randrange(100), 512 * rng.randrange(1, 64)] for at, letter in enumerate(found) if letter == "u"]
    unread += [[disk - untried * cell, untried * cell]] if untried else []
    lost = sum(length for _start, length in unread)
    new = int(tree * rng.random())
    digest = f"{rng.getrandbits(256):064x}"
    return {
        "receipts": [receipt(number, digest, lost)],
        "changed": True, "finished": True, "state": "finished", "snapshot": str(number + 1), "store": "/mnt/asl/local",
        "domain": "rescue-domain", "digest": digest, "labels": {"ticket": "INC-4711"}, "files": 35211 + number,
        "files_unchanged": 0,
        "size": disk + tree, "bytes_read": disk + tree - lost, "bytes_new": new, "bytes_duplicate": tree - new,
        "bytes_stored": new // 2,
        "bytes_unread": lost, "seconds": (disk + tree) / (150 << 20), "losses_omitted": 0,
        "actions": ["read device:/dev/sda into /mnt/asl/local"],
        "losses": [loss("unread", f"/dev/sda: {length} bytes at {start}") for start, length in unread]
        + ([loss("unreadable", "/home/ada/mail/<b>inbox</b>")] if file else []),
        "sources": [
            {
                "source": "device:/dev/sda", "kind": "device", "files": 1, "size": disk, "bytes_read": disk - lost, "bytes_unread": lost,
                "view": None, "root": "0001", "notes": [], "details": {"model": "ST4000NM0035", "serial": f"ZC1{number:05}", "sector": 512},
                "map": {"cell": cell, "cells": found, "unread": unread, "unread_omitted": 0},
                "smart": {"before": smart(12, 8 * bad, 38), "after": smart(12 + bad, 9 * bad, 46)} if bad else None,
            },
            {
                "source": "fs:/dev/sda2", "kind": "fs", "files": 35211 + number, "size": tree, "bytes_read": tree, "bytes_unread": 0,
                "view": "journal not replayed", "root": "0001", "notes": ["12 files had no name any more"],
                "details": {"filesystem": "ext4", "label": "root", "device": "/dev/sda2"}, "map": None,
            },
        ],
    }  # fmt: skip


def verified(number: int) -> Result:
    """Everything was read back."""
    read = {
        "store": "/mnt/asl/local", "snapshots": [str(number + 1)], "files": 9, "artifacts": 30660, "artifacts_skipped": 0,
        "bytes": 54 * GIB, "seconds": 61.0,
    }  # fmt: skip
    return {"changed": False, "ok": True, "verification": read, "damaged": [], "damaged_omitted": 0}


def phases(rng: random.Random, number: int, kind: str) -> dict[str, Result]:
    """What the phases of one host left."""
    if kind == "unreachable":
        return {"overlay": GONE}
    if kind == "failed":
        return {"overlay": OVERLAY, "preflight": NO_MODE}
    begun = {"overlay": OVERLAY, "preflight": MODE}
    if kind == "running":
        return {**begun, "intake": {"changed": True, "state": "running", "finished": False}}
    losses = kind == "losses"
    # Every second of them became too hot, and was not read to its end.
    bad, untried = (rng.randrange(2, 9), 9 if number % 2 == 0 else 0) if losses else (0, 0)
    return {**begun, "intake": taken(rng, number, bad=bad, untried=untried, file=losses), "verify": verified(number)}


def fleet(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """The reports of ``count`` hosts, most of them rescued."""
    report = importlib.import_module("ansible_collections.asl.rescue.plugins.plugin_utils._report")
    rng = random.Random(seed)
    kinds = ["rescued"] * 13
    kinds[3], kinds[6], kinds[9], kinds[12] = "losses", "failed", "unreachable", "running"
    found = []
    for number in range(count):
        left = {f"{name}_result": result for name, result in phases(rng, number, kinds[number % len(kinds)]).items()}
        name = f"{('web', 'db', 'mail', 'store')[number % 4]}{number + 1:02}.example.com"
        found.append(report.host_report(name, report.PHASES, left))
    return found
