# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle: everything that an overlay is laid from, on any machine it may be laid on.

    INDEX                            one line per file below (see index)
    overlay.yml                      the contract
    root/usr/local/bin/asl-intake …  files as they are to stand on the target
    native/<machine>/libasl.so       the C kernel, one for each machine that has one

The same tree gives the same bundle, byte for byte: sorted, no times, no owners of the checkout, modes from the contract.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, Optional

from asl.errors import Damaged, Unavailable
from asl.overlay import index
from asl.overlay.contract import Contract, Entry, parse
from asl.overlay.index import Index, Line

LIBRARY = "/usr/local/lib/asl"
LIBASL = "/usr/local/lib/libasl.so"
LAID_CONTRACT = f"{LIBRARY}/overlay.yml"
LAID_INDEX = f"{LIBRARY}/overlay.index"
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


class Bundle(NamedTuple):
    """A bundle's parts: where each path of the index has its bytes on this disk."""

    contract: Contract
    contents: Index
    files: Mapping[str, Path]


def machine() -> str:
    """This machine as the native folder names it: x86_64, aarch64, …"""
    name = os.uname().machine
    return _ALIASES.get(name, name)


def is_stray(name: str) -> bool:
    """True for what tools and editors leave in a tree and no overlay may hold: byte code, built objects, hidden and backup files."""
    return name == "__pycache__" or name.startswith(".") or name.endswith((".pyc", ".so", ".o", "~"))


def collect(overlay: Path, native: Path) -> Bundle:
    """The bundle of a checkout or an installed collection: ``overlay/`` and ``native/build/``.

    A machine without a built libasl.so is left out: the engine then uses its Python twin there. Raises Unavailable when a path of
    the contract is missing, Usage when a file is not in the contract.
    """
    contract = parse((overlay / "overlay.yml").read_text(encoding="utf-8"), str(overlay / "overlay.yml"))
    files = {"overlay.yml": overlay / "overlay.yml"}
    for path in _walk(overlay):
        absolute = f"/{path.relative_to(overlay).as_posix()}"
        if absolute != "/overlay.yml":
            contract.entry_for(absolute)
            files[f"root{absolute}"] = path
    for entry in contract.entries:
        if entry.type == "file" and not entry.optional and f"root{entry.path}" not in files:
            raise Unavailable(f"{overlay}{entry.path} is named in the contract and is not there", reason="BUNDLE_INCOMPLETE")
    for library in sorted(native.glob("*/libasl.so")):
        files[f"native/{library.parent.name}/libasl.so"] = library
    lines = [_line(contract, path, file.read_bytes()) for path, file in files.items()]
    return Bundle(contract, index.make(lines), files)


def open_folder(folder: Path) -> Bundle:
    """An unpacked bundle. Raises Damaged when a byte is not what INDEX says, Unavailable when there is no INDEX."""
    name = folder / "INDEX"
    if not name.is_file():
        raise Unavailable(f"{folder} holds no overlay bundle: it has no INDEX", reason="NO_BUNDLE")
    found = index.parse(name.read_bytes(), str(name))
    files = {line.path: folder / line.path for line in found.lines}
    for line in found.lines:
        if not files[line.path].is_file() or hashlib.sha256(files[line.path].read_bytes()).hexdigest() != line.digest:
            raise Damaged(f"{files[line.path]} is not what the bundle's INDEX says", reason="BUNDLE_DAMAGED", hint="send the bundle again")
    contract = parse(files["overlay.yml"].read_text(encoding="utf-8"), str(files["overlay.yml"]))
    return Bundle(contract, found, files)


def write(bundle: Bundle, target: BinaryIO) -> None:
    """Write the bundle as a tar.gz that this, and any, Python unpacks. The same bundle gives the same bytes."""
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=target, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        _add(tar, "INDEX", bundle.contents.encode(), 0o644)
        for line in bundle.contents.lines:
            _add(tar, line.path, bundle.files[line.path].read_bytes(), line.mode)


def target_of(path: str, on_machine: str) -> Optional[str]:
    """Where a path of a bundle belongs on a target of this machine; None for another machine's library."""
    if path == "overlay.yml":
        return LAID_CONTRACT
    if path.startswith("root/"):
        return path[len("root") :]
    return LIBASL if path == f"native/{on_machine}/libasl.so" else None


def file_mode(entry: Entry) -> int:
    """The mode of a file under ENTRY: a tree's files are never executable."""
    return entry.mode & 0o666 if entry.type == "tree" else entry.mode


def _line(contract: Contract, path: str, data: bytes) -> Line:
    # Every libasl.so goes to the same place, whatever the machine.
    entry = contract.entry_for(target_of(path, path.split("/")[1] if path.startswith("native/") else "") or path)
    return Line(path, hashlib.sha256(data).hexdigest(), file_mode(entry), entry.owner, entry.group)


def _walk(top: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not is_stray(name))
        found += [Path(folder, name) for name in sorted(names) if not is_stray(name)]
    return found


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), mode, 0
    tar.addfile(member, io.BytesIO(data))
