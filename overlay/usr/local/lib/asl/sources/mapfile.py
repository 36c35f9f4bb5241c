# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of every byte of a failing disk, and GNU ddrescue's mapfile, which says the same in text.

    # comments
    0x00000000     ?               1           status line: position, phase, number of the pass
    0x00000000  0x00120000  +                  areas without gaps: position, size (bytes), status

Numbers are decimal, octal (0…) or hexadecimal (0x…), as in the manual of GNU ddrescue 1.27, "Mapfile structure".
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asl.errors import Usage

# Not tried yet; a block of it failed; its edges are known to be bad; bad; read.
NEW, FAILED, UNSCRAPED, BAD, READ = "?", "*", "/", "-", "+"
STATUSES = NEW + FAILED + UNSCRAPED + BAD + READ
WORDS = {NEW: "not tried", FAILED: "failed, not trimmed", UNSCRAPED: "failed, not scraped", BAD: "bad", READ: "read"}
PHASES = "?*/-FG+"
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


class Area(NamedTuple):
    """The bytes from START up to END, all of one status."""

    start: int
    end: int
    status: str


class RescueMap:
    """A status for each of SIZE bytes. Neighbouring areas never have the same one."""

    def __init__(self, size: int, status: str = NEW) -> None:
        self.size = size
        self._starts: list[int] = [0] if size else []
        self._statuses: list[str] = [status] if size else []

    @classmethod
    def of(cls, size: int, areas: Iterable[tuple[int, int, str]], elsewhere: str = NEW) -> RescueMap:
        """The map in which AREAS (start, end, status) are so, and all else is ELSEWHERE."""
        found = cls(size, elsewhere)
        for start, end, status in areas:
            found.set(start, end, status)
        return found

    def set(self, start: int, end: int, status: str) -> None:
        """From START up to END (cut off at the size) it is STATUS."""
        end = min(end, self.size)
        if start >= end:
            return
        first = bisect.bisect_right(self._starts, start) - 1
        last = bisect.bisect_left(self._starts, end)
        starts, statuses = [start], [status]
        if self._starts[first] < start:
            if self._statuses[first] == status:
                starts = [self._starts[first]]
            else:
                starts, statuses = [self._starts[first], start], [self._statuses[first], status]
        elif first and self._statuses[first - 1] == status:
            first -= 1
            starts = [self._starts[first]]
        behind = self._statuses[last - 1]
        ends = self._starts[last] if last < len(self._starts) else self.size
        if end < ends and behind != status:
            starts, statuses = [*starts, end], [*statuses, behind]
        elif end == ends and last < len(self._starts) and self._statuses[last] == status:
            last += 1
        self._starts[first:last], self._statuses[first:last] = starts, statuses

    def areas(self) -> Iterator[Area]:
        """All areas in order."""
        for number, start in enumerate(self._starts):
            end = self._starts[number + 1] if number + 1 < len(self._starts) else self.size
            yield Area(start, end, self._statuses[number])

    def with_status(self, *statuses: str) -> list[Area]:
        """The areas with one of STATUSES, as they are now."""
        return [area for area in self.areas() if area.status in statuses]

    def total(self, *statuses: str) -> int:
        """Bytes with one of STATUSES."""
        return sum(area.end - area.start for area in self.areas() if area.status in statuses)

    def within(self, start: int, end: int) -> list[Area]:
        """The areas between START and END, cut to them."""
        if not self._starts:
            return []
        found, number = [], bisect.bisect_right(self._starts, start) - 1
        while number < len(self._starts) and self._starts[number] < end:
            behind = self._starts[number + 1] if number + 1 < len(self._starts) else self.size
            found.append(Area(max(start, self._starts[number]), min(end, behind), self._statuses[number]))
            number += 1
        return found

    def text(self, program: str) -> str:
        """The map as a mapfile; ddrescue goes on from it."""
        phase = next((status for status in (NEW, FAILED, UNSCRAPED) if self.with_status(status)), READ)
        lines = [
            f"# Mapfile. Created by {program}",
            "# current_pos  current_status  current_pass",
            f"0x00000000     {phase}               1",
        ]
        lines.append("#      pos        size  status")
        lines += [f"0x{area.start:08X}  0x{area.end - area.start:08X}  {area.status}" for area in self.areas()]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str, size: int, name: str) -> RescueMap:
        """The map in the mapfile TEXT for SIZE bytes; what it does not speak of was not tried. Raises Usage, naming NAME and line."""
        found, expected, seen_status = cls(size), None, False
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#", 1)[0].split()
            if not words:
                continue
            if not seen_status:
                if len(words) not in (2, 3) or not _NUMBER.fullmatch(words[0]) or words[1] not in PHASES:
                    raise _bad(name, number, "a status line (position, phase, pass) belongs here")
                seen_status = True
                continue
            if len(words) != 3 or not all(_NUMBER.fullmatch(word) for word in words[:2]) or words[2] not in STATUSES:
                raise _bad(name, number, "position, size and one of ? * / - + belong here")
            start, length = _number(words[0]), _number(words[1])
            if expected is not None and start != expected:
                raise _bad(name, number, f"the area begins at {start}, but the one before ends at {expected}")
            expected = start + length
            found.set(start, expected, words[2])
        if not seen_status:
            raise Usage(f"{name} is no ddrescue mapfile: it is empty", reason="BAD_MAP")
        return found


def _number(word: str) -> int:
    if word[:2].lower() == "0x":
        return int(word, 16)
    return int(word, 8) if len(word) > 1 and word[0] == "0" and word.isdigit() and not set(word) & set("89") else int(word)


def _bad(name: str, line: int, what: str) -> Usage:
    hint = "ddrescuelog -t FILE says whether ddrescue itself takes it"
    return Usage(f"{name}:{line} is not as in a ddrescue mapfile: {what}", reason="BAD_MAP", hint=hint)


def read_map(path: str, size: int) -> RescueMap:
    """The mapfile at PATH for a device of SIZE bytes. Raises Usage."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise Usage(f"the map {path} cannot be read: {error.strerror}", reason="BAD_MAP") from error
    return RescueMap.parse(text, size, path)
