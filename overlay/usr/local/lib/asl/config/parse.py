# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file format of /etc/asl: ``key = value`` lines, ``#`` comments, UTF-8.

A ``#`` starts a comment at the beginning of a line or after white space, so that a URL may hold one. Values are taken as they
are: no quotes, no escapes, no continuation. A key may stand once. Every error is Usage with reason CONFIG_INVALID and names
the place: ``/etc/asl/asl.conf:12`` or ``--set mode``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple, Optional

from asl.errors import Usage

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_SECRET = re.compile(r"(?:^|[._-])(?:token|secret|password|passwd|passphrase|credentials?|(?:api|private|access)-?key)\Z", re.IGNORECASE)
_LARGEST = 1 << 20  # 1 MiB: a configuration file that is larger is another file


class Entry(NamedTuple):
    """One value and where it stands."""

    value: str
    place: str


def invalid(place: str, what: str, hint: Optional[str] = None) -> Usage:
    """The error for a configuration that cannot be used; ``what`` says why, ``hint`` what to do."""
    return Usage(f"{place}: {what}", reason="CONFIG_INVALID", hint=hint, place=place)


def read(path: Optional[str], default: str, overrides: Mapping[str, str]) -> dict[str, Entry]:
    """All entries of a file, then the overrides (``--set KEY=VALUE``) over them.

    ``path=None`` means the well-known file ``default``, which may be missing: then nothing is set. A file that somebody named must
    be there. Raises Usage (CONFIG_INVALID) for a file that cannot be read, is not UTF-8, or holds a line that is not ``key = value``.
    """
    name = default if path is None else path
    try:
        with open(name, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or name != default:
            raise invalid(name, f"cannot be read: {(error.strerror or str(error)).lower()}", "check the path and its mode") from error
        data = b""
    entries = parse(data, name)
    for key, value in overrides.items():
        place = f"--set {key}"
        _check_key(key, place)
        _check_value(value, place)
        entries[key] = Entry(value.strip(), place)
    return entries


def parse(data: bytes, name: str) -> dict[str, Entry]:
    """The entries of a file's bytes; ``name`` is how errors call the file."""
    if len(data) > _LARGEST:
        raise invalid(name, "is larger than 1 MiB, so it is not a configuration file")
    entries: dict[str, Entry] = {}
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        place = f"{name}:{number}"
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise invalid(place, "is not UTF-8 text", "save the file as UTF-8") from error
        text = _COMMENT.sub("", text).strip()
        if not text:
            continue
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise invalid(place, f"{text!r} is not `key = value`", "put a `#` before a comment")
        _check_key(key, place)
        _check_value(value, place)
        if key in entries:
            raise invalid(place, f"{key} stands a second time (first at {entries[key].place})", "remove one of the two lines")
        entries[key] = Entry(value, place)
    return entries


def refuse_unknown(entries: Mapping[str, Entry], known: Collection[str]) -> None:
    """Usage for the first key that is not known, with the nearest known one as the hint."""
    for key, entry in entries.items():
        if key not in known:
            raise unknown(key, entry.place, known)


def unknown(key: str, place: str, known: Collection[str]) -> Usage:
    """The error for a key this engine does not know."""
    import difflib  # only for somebody who mistyped

    near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
    return invalid(place, f"unknown key {key}", hint)


def _check_key(key: str, place: str) -> None:
    if not _KEY.match(key):
        raise invalid(place, f"{key!r} is not a key", "keys are letters, digits, `.`, `-` and `_`")
    if _SECRET.search(key):
        raise invalid(
            place,
            f"{key} looks like a secret, and no secret may stand in a configuration or on a command line",
            "write it to a file of mode 0600 under /run/asl and name that file with remote.token-file",
        )


def _check_value(value: str, place: str) -> None:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise invalid(place, "the value holds a control character")
