# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One function for each kind of value: text in, typed value out, ValueError with a clause that ends "KEY must be …"."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Optional, TypeVar

from asl import paths

T = TypeVar("T")

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
# Compiled when first used: most configurations set few of these.
_SIZE = r"(\d{1,19})\s*([A-Za-z]*)\Z"
_DOMAIN = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?\Z"
_POOL = r"[A-Za-z][A-Za-z0-9_.:-]{0,254}\Z"
_DATASET = r"[A-Za-z0-9_.:-]+(?:/[A-Za-z0-9_.:-]+)*\Z"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62})\.?)+\Z"
_POOL_RESERVED = r"(?:mirror|raidz|draid|spare|log$|c[0-9])"  # zpool-create(8): names a pool may not begin with (or be)


def choice(*allowed: str) -> Callable[[str], str]:
    """One of a few words."""

    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return convert


def optional(convert: Callable[[str], T]) -> Callable[[str], Optional[T]]:
    """An empty value means: not set."""
    return lambda text: convert(text) if text else None


def size(smallest: int, largest: int, *, power_of_two: bool = False) -> Callable[[str], int]:
    """A number of bytes: ``65536``, ``64KiB``, ``64 MiB``. Units are powers of 1024; ``k`` or ``MB`` are refused as ambiguous."""

    def convert(text: str) -> int:
        found = re.match(_SIZE, text, re.ASCII)
        if not found or found.group(2) not in _UNITS:
            raise ValueError("must be a size such as 65536, 64KiB or 64MiB (units B, KiB, MiB, GiB, TiB)")
        number = int(found.group(1)) * _UNITS[found.group(2)]
        if not smallest <= number <= largest:
            raise ValueError(f"must be between {show_size(smallest)} and {show_size(largest)}")
        if power_of_two and number & (number - 1):
            raise ValueError("must be a power of two, such as 32KiB, 64KiB or 128KiB")
        return number

    return convert


def bandwidth(text: str) -> int:
    """Bytes per second, ``/s`` may follow; 0 means unlimited. Anything else below 64 KiB/s would not finish in a lifetime."""
    number = size(0, 1 << 50)(text[:-2].rstrip() if text.endswith("/s") else text)
    if 0 < number < 1 << 16:
        raise ValueError("must be 0 (unlimited) or at least 64KiB per second")
    return number


def integer(smallest: int, largest: int) -> Callable[[str], int]:
    """A plain decimal number."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and smallest <= int(text) <= largest):
            raise ValueError(f"must be a number from {smallest} to {largest}")
        return int(text)

    return convert


def guids(text: str) -> tuple[str, ...]:
    """Pool GUIDs as decimal strings, separated by commas or white space, in the order given."""
    found = tuple(text.replace(",", " ").split())
    for guid in found:
        if not (guid.isascii() and guid.isdigit() and guid[0] != "0" and len(guid) <= 20 and int(guid) < 1 << 64):
            raise ValueError(f"must list pool GUIDs as decimal 64-bit numbers (asl-intake survey shows them), and {guid!r} is none")
        if found.count(guid) > 1:
            raise ValueError(f"must list every GUID once, and {guid} stands there twice")
    return found


def path(text: str) -> str:
    """An absolute path without `.`, `..` or doubled slashes, and not the root itself."""
    if not text.startswith("/") or text.startswith("//") or posixpath.normpath(text) != text.rstrip("/") or text == "/":
        raise ValueError("must be an absolute path such as /mnt/asl/local, without `.` or `..`")
    return text.rstrip("/")


def path_under(*roots: str) -> Callable[[str], str]:
    """An absolute path below one of these folders."""

    def convert(text: str) -> str:
        clean = path(text)
        if not any(clean.startswith(root.rstrip("/") + "/") for root in roots):
            raise ValueError(f"must be a path under {' or '.join(dict.fromkeys(roots))}")
        return clean

    return convert


def secret_path(text: str) -> str:
    """A file in memory: under /run/asl or among the credentials of a systemd unit."""
    return path_under("/run/asl", "/run/credentials", paths.run())(text)


def https(text: str) -> str:
    """An https URL with a host, perhaps a port and a path; without user, query or fragment. A trailing slash is dropped."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError("must be a URL such as https://asl-backend") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if parts.scheme != "https":
        raise ValueError("must begin with https://, since plain http protects neither the data nor the token")
    host = parts.hostname or ""
    if not (re.match(_HOST, host) or (":" in host and "[" in parts.netloc)) or port == 0 or re.search(r"\s", text):
        raise ValueError("must name a host, such as https://asl-backend or https://10.0.0.5:8443")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("must not hold `?` or `#`")
    return text.rstrip("/")


def domain(text: str) -> str:
    """A domain id: it stands in URLs and in store paths, so it is short, lower case and has no slash."""
    if not re.match(_DOMAIN, text) or ".." in text:
        raise ValueError("must be 1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning and ending with a letter or digit")
    return text


def pool(text: str) -> str:
    """A ZFS pool name as zpool-create(8) allows it."""
    if not re.match(_POOL, text) or re.match(_POOL_RESERVED, text):
        raise ValueError("must be a ZFS pool name: a letter, then letters, digits, `_`, `-`, `:`, `.`, not beginning like a vdev type")
    return text


def dataset(text: str) -> str:
    """A dataset below the pool, without the pool's own name."""
    if not re.match(_DATASET, text) or any(part in (".", "..") for part in text.split("/")):
        raise ValueError("must be a dataset name below the pool, such as asl or intake/asl")
    return text


def show_size(number: int) -> str:
    """A size as it may stand in a configuration file: the largest unit that divides it."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if number and number % _UNITS[unit] == 0:
            return f"{number // _UNITS[unit]}{unit}"
    return str(number)
