# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a root so that it is as a bundle says: an ordered list of steps, each with its action in words.

Order: directories, then the engine, libasl.so, tools, units and configuration, then what is stale goes, and the index comes last. The
index is the acknowledgement: as long as it is not there, the next run lays again, whatever happened in between.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from asl import system
from asl.errors import Damaged, Refused, Unavailable
from asl.overlay import index
from asl.overlay.bundle import LAID_INDEX, Bundle, machine, target_of
from asl.overlay.compare import deviations_of, directories, laid
from asl.overlay.contract import Contract
from asl.overlay.index import Index, Line
from asl.overlay.root import Root, look

CONFIG = "/etc/asl"
_RANK = {"library": 0, "tool": 1, "unit": 2, "config": 3}


class Source(NamedTuple):
    """What is to be laid: absolute paths, and how to get their bytes."""

    contract: Contract
    digest: str
    lines: tuple[Line, ...]
    read: Callable[[str], bytes]


class Step(NamedTuple):
    """One action: its words, what it is done to, and how. A file that is written has its bytes ``before`` (None: new) and ``after``."""

    action: str
    path: str
    kind: str
    run: Callable[[], None]
    before: Optional[bytes] = None
    after: Optional[Callable[[], bytes]] = None


def from_bundle(bundle: Bundle) -> Source:
    """What a bundle holds for this machine."""
    places = {target: line for line in bundle.contents.lines if (target := target_of(line.path, machine()))}
    lines = tuple(line._replace(path=target) for target, line in places.items())
    return Source(bundle.contract, bundle.contents.digest, lines, lambda path: bundle.files[places[path].path].read_bytes())


def from_laid(root: Root) -> Source:
    """What is already laid, without its bytes: enough to see whether something is to be done. Raises Unavailable (NOT_LAID)."""
    contract, found = laid(root)

    def read(path: str) -> bytes:
        raise Unavailable(f"the bytes of {path} are needed to lay it, and there is no bundle", reason="NO_BUNDLE", hint="give --bundle")

    return Source(contract, found.digest, found.lines, read)


def with_config(source: Source, root: Root, given: Mapping[str, bytes]) -> Source:
    """SOURCE with the configuration that is to stand: GIVEN by name; what is there already and is not given stays as it is."""
    contents: dict[str, bytes] = {}
    for entry in source.contract.of("config"):
        name = entry.path[len(CONFIG) + 1 :]
        seen = look(root.at(entry.path))
        if entry.type == "file" and name in given:
            contents[entry.path] = given[name]
        elif entry.type == "file" and seen and seen.type == "file":
            contents[entry.path] = Path(root.at(entry.path)).read_bytes()
    lines = tuple(
        line._replace(digest=hashlib.sha256(contents[line.path]).hexdigest()) if line.path in contents else line for line in source.lines
    )
    return source._replace(lines=lines, read=lambda path: contents[path] if path in contents else source.read(path))


class _Place(NamedTuple):
    """A path and how it is to stand there."""

    path: str
    kind: str
    mode: int
    owner: str
    group: str


def plan(source: Source, root: Root) -> list[Step]:
    """The steps from what is on ROOT to what SOURCE says, in order. Raises Refused (WRONG_TYPE) when something else is in the way."""
    contract = source.contract
    found = deviations_of(contract, source.lines, root)
    what: dict[str, set[str]] = {}
    for deviation in found:
        what.setdefault(deviation.path, set()).add(deviation.deviation)
    parents = missing_parents(source, root)
    steps = [_create(_Place(path, "parent", 0o755, "root", "root"), root) for path in parents]
    for path, entry in directories(contract, [line.path for line in source.lines]):
        steps += _directory_steps(_Place(path, entry.kind, entry.mode, entry.owner, entry.group), what.get(path, set()), root)
    places = [_Place(line.path, contract.entry_for(line.path).kind, *line[2:]) for line in source.lines]
    for place in sorted(places, key=lambda place: (_RANK[place.kind], place.path)):
        steps += _file_steps(place, source.read, what.get(place.path, set()), root)
    # Deepest first, so that a directory is empty when its turn comes.
    for deviation in sorted((each for each in found if each.deviation in ("extra", "state") and each.owned), reverse=True):
        steps.append(_removal(deviation.path, contract.entry_for(deviation.path).kind, root))
    return steps + _index_steps(source, parents, root)


def missing_parents(source: Source, root: Root) -> list[str]:
    """Directories outside the contract that its paths need and that are not there, as /etc/systemd/system where there is no systemd."""
    inside = {path for path, _entry in directories(source.contract, [line.path for line in source.lines])}
    found: set[str] = set()
    for entry in source.contract.entries:
        parent = os.path.dirname(entry.path)
        while parent not in inside and look(root.at(parent), follow=True) is None:
            found.add(parent)
            parent = os.path.dirname(parent)
    return sorted(found)


def _directory_steps(place: _Place, what: set[str], root: Root) -> list[Step]:
    if "type" in what:
        raise _in_the_way(place.path, "a directory")
    return [_create(place, root)] if "missing" in what else _rights_steps(place, what, root)


def _file_steps(place: _Place, read: Callable[[str], bytes], what: set[str], root: Root) -> list[Step]:
    where = root.at(place.path)
    seen = look(where)
    if seen and seen.type == "directory":
        raise _in_the_way(place.path, "a file")
    if what & {"missing", "type", "changed"}:
        before = Path(where).read_bytes() if seen and seen.type == "file" else None
        return [_write(place, read, before, root)]
    return _rights_steps(place, what, root)


def _in_the_way(path: str, wanted: str) -> Refused:
    return Refused(f"{path} has to be {wanted} and is none", reason="WRONG_TYPE", hint=f"look at it, then move it away: {path}")


def _create(place: _Place, root: Root) -> Step:
    where = Path(root.at(place.path))

    def create() -> None:
        where.mkdir()
        _own(place, root)
        # After the owner, and over what a set-group-id parent and the umask have made of it.
        where.chmod(place.mode)

    return Step(f"create directory {place.path}", place.path, place.kind, create)


def _write(place: _Place, read: Callable[[str], bytes], before: Optional[bytes], root: Root) -> Step:
    def write() -> None:
        system.replace_file(root.at(place.path), read(place.path), place.mode)
        _own(place, root)

    return Step(f"write {place.path}", place.path, place.kind, write, before, lambda: read(place.path))


def _rights_steps(place: _Place, what: set[str], root: Root) -> list[Step]:
    where = Path(root.at(place.path))
    steps = []
    if "owner" in what:

        def own() -> None:
            _own(place, root)
            # A change of owner may clear bits of the mode.
            where.chmod(place.mode)

        steps.append(Step(f"set owner of {place.path} to {place.owner}:{place.group}", place.path, place.kind, own))
    if "mode" in what:
        steps.append(Step(f"set mode of {place.path} to {place.mode:04o}", place.path, place.kind, lambda: where.chmod(place.mode)))
    return steps


def _removal(path: str, kind: str, root: Root) -> Step:
    where = Path(root.at(path))

    def remove() -> None:
        if where.is_dir() and not where.is_symlink():
            shutil.rmtree(where)
        else:
            where.unlink()

    return Step(f"remove {path}", path, kind, remove)


def _index_steps(source: Source, made: list[str], root: Root) -> list[Step]:
    where = Path(root.at(LAID_INDEX))
    before = where.read_bytes() if where.is_file() else None
    wanted: Index = index.make(source.lines, source.digest, {*made, *_made_before(before)})
    if before == wanted.encode():
        return []
    # Of kind "index": new settings alone change it too, and they restart nothing.
    return [_write(_Place(LAID_INDEX, "index", 0o644, "root", "root"), lambda _path: wanted.encode(), before, root)]


def _made_before(data: Optional[bytes]) -> tuple[str, ...]:
    try:
        return index.parse(data or b"", LAID_INDEX).made
    except Damaged:
        return ()


def _own(place: _Place, root: Root) -> None:
    if root.sets_owners:
        os.chown(root.at(place.path), pwd.getpwnam(place.owner).pw_uid, grp.getgrnam(place.group).gr_gid)
