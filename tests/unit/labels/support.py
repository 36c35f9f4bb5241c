# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers of what the readers read: name-value lists, embedded checksums, uberblocks in the other byte order; and zdb's words, parsed."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Any

from asl.survey import uberblock
from asl.survey.labels import CONFIG_AT, CONFIG_SIZE, LABEL, RING_AT

Typed = tuple[int, Any]  # type code of libnvpair, value


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def pair(name: str, kind: int, value: Any) -> bytes:
    """One pair; ``value`` of a list is its dict of Typed, of type 20 a list of those, of unknown types the bytes themselves."""
    count, data = 1, b""
    if kind in (2, 3, 4, 5, 6, 21, 22, 23):
        data = struct.pack(">i" if kind in (3, 5, 22) else ">I", value)
    elif kind in (7, 8, 18):
        data = struct.pack(">Q" if kind == 8 else ">q", value)
    elif kind == 27:
        data = struct.pack(">d", value)
    elif kind == 9:
        data = text(value)
    elif kind == 10:
        count, data = len(value), value + bytes(-len(value) % 4)
    elif kind in (11, 12, 13, 14, 15, 16, 24, 25, 26):
        layout = {15: ">q", 16: ">Q", 11: ">i", 13: ">i", 25: ">i"}.get(kind, ">I")
        count, data = len(value), struct.pack(">I", len(value)) + b"".join(struct.pack(layout, each) for each in value)
    elif kind == 17:
        count, data = len(value), b"".join(map(text, value))
    elif kind == 19:
        data = body(value)
    elif kind == 20:
        count, data = len(value), b"".join(map(body, value))
    elif kind == 1:
        count = 0
    else:
        data = value
    inside = text(name) + struct.pack(">II", kind, count) + data
    return struct.pack(">ii", len(inside) + 8, len(inside) + 8) + inside


def body(pairs: dict[str, Typed]) -> bytes:
    return struct.pack(">iI", 0, 1) + b"".join(pair(name, *value) for name, value in pairs.items()) + bytes(8)


def encode(pairs: dict[str, Typed]) -> bytes:
    """A whole list, as it lies in a label."""
    return b"\x01\x01\x00\x00" + body(pairs)


def typed(value: Any) -> Typed:
    """A plain value with the type that ZFS gives it in a label."""
    if isinstance(value, dict):
        return 19, {name: typed(each) for name, each in value.items()}
    if isinstance(value, list):
        lists = value and isinstance(value[0], dict)
        return (20, [typed(each)[1] for each in value]) if lists else (16, value)
    if value is True:
        return 1, None
    return (9, value) if isinstance(value, str) else (8, value)


def sealed(data: bytes, offset: int, order: str = "<") -> bytes:
    """``data`` with its last 40 bytes replaced by the checksum that belongs there at ``offset``."""
    head = data[: -uberblock.EMBEDDED_SIZE] + struct.pack(f"{order}Q", uberblock.EMBEDDED_MAGIC)
    return head + struct.pack(f"{order}4Q", *uberblock.embedded_digest(head + bytes(32), offset, order))


def label(config: dict[str, Any], offset: int, *blocks: bytes) -> bytes:
    """A label of 256 KiB for ``offset``; ``blocks`` are uberblocks without checksum, one for each slot of 1 KiB."""
    area = encode(typed(config)[1])
    whole = bytearray(LABEL)
    whole[CONFIG_AT : CONFIG_AT + CONFIG_SIZE] = sealed(area.ljust(CONFIG_SIZE, b"\0"), offset + CONFIG_AT)
    for number, block in enumerate(blocks):
        at = RING_AT + number * 1024
        whole[at : at + 1024] = sealed(block.ljust(1024, b"\0"), offset + at)
    return bytes(whole)


def block(txg: int, timestamp: int, *, delay: int = 0, sequence: int = 0, order: str = "<") -> bytes:
    """The first 208 bytes of an uberblock."""
    head = struct.pack(f"{order}5Q", uberblock.MAGIC, 5000, txg, 7, timestamp)
    settings = 3 | 1000 << 8 | sequence << 32
    return head + bytes(128) + struct.pack(f"{order}5Q", 5000, uberblock.MULTIHOST_MAGIC, delay, settings, 0)


def swapped(ring: bytes, offset: int, size: int) -> bytes:
    """A ring of slots of ``size`` bytes as a machine of the other byte order would have written it."""
    slots = []
    for at in range(0, len(ring), size):
        words = struct.unpack(f"<{size // 8}Q", ring[at : at + size])
        slot = struct.pack(f">{size // 8}Q", *words)
        valid = words[0] == uberblock.MAGIC and uberblock.checksum_order(ring[at : at + size], offset + at) == "<"
        slots.append(sealed(slot, offset + at, ">") if valid else ring[at : at + size])
    return b"".join(slots)


def parse_zdb(lines: Iterable[str]) -> list[dict[str, Any]]:
    """What `zdb -lu` printed: for each distinct configuration ``config`` and ``labels``, and ``uberblocks`` with their fields."""
    found: list[dict[str, Any]] = []
    stack: list[tuple[int, dict[str, Any]]] = []
    for line in lines:
        indent, words = len(line) - len(line.lstrip()), line.strip()
        if words.startswith("L2ARC"):  # zdb of 2.1 has more to say about a cache device
            break
        if re.fullmatch(r"LABEL \d.*", words):
            found.append({"config": {}, "labels": [], "uberblocks": [], "title": words})
            stack = [(0, found[-1]["config"])]
        elif found and re.fullmatch(r"labels = [0-3 ]+", words):
            target = found[-1]["uberblocks"][-1] if found[-1]["uberblocks"] else found[-1]
            target["labels"] = [int(each) for each in words[9:].split()]
        elif found and words.startswith("Uberblock["):
            found[-1]["uberblocks"].append({})
        elif found and found[-1]["uberblocks"]:
            name, separator, value = words.partition(" = ")
            if separator:
                found[-1]["uberblocks"][-1][name] = value
        elif found and words and not words.startswith("-"):
            _field(stack, indent, words)
    return found


def _field(stack: list[tuple[int, dict[str, Any]]], indent: int, words: str) -> None:
    while len(stack) > 1 and stack[-1][0] >= indent:
        stack.pop()
    name, separator, value = words.partition(": ")
    if separator:
        stack[-1][1][name] = value[1:-1] if value.startswith("'") else int(value)
    elif words.endswith(":"):
        inside: dict[str, Any] = {}
        stack[-1][1][words[:-1]] = inside
        stack.append((indent, inside))
    else:
        stack[-1][1][words] = True


def flat(config: dict[str, Any]) -> dict[str, Any]:
    """A decoded list in zdb's shape: arrays of lists and of numbers become ``name[0]``."""
    out: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, list):
            out.update({f"{name}[{number}]": flat(each) if isinstance(each, dict) else each for number, each in enumerate(value)})
        else:
            out[name] = flat(value) if isinstance(value, dict) else value
    return out
