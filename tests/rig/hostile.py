# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of everything a file system may hold that a careless copy loses. Needs root (device nodes, owners, capabilities)."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from .process import run

NANOSECONDS = 1_234_567_890_987_654_321  # 2009-02-13T23:31:30.987654321Z
OLD = -86_400 * 365 * 10 * 1_000_000_000 + 7  # before 1970, with a remainder
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # security.capability v2: cap_net_raw=ep


def make(folder: Path) -> None:
    """Fill the empty FOLDER. Equal calls give equal trees, but for inode numbers and change times."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in (names, links, holes, nodes, owners, attributes, shapes, times):
        target = folder / part.__name__
        target.mkdir()
        part(target)
    for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
        if path.parent.name != "times":
            os.utime(path, ns=(NANOSECONDS, NANOSECONDS), follow_symlinks=False)


def names(folder: Path) -> None:
    raw = os.fsencode(folder)
    odd = [
        b"\xff\xfe not utf-8 \x80", b"caf\xc3\xa9", b"cafe\xcc\x81", b"line\nbreak", b"tab\tand\rreturn", b" leading and trailing ",
        b"-rf", b"*?[x]$(id)`id`", b"back\\slash", b'quote"single\'', b"~", b"...", b"..hidden", b"a" * 255, b"\xe2\x80\xae reversed",
        b"\x01\x7f", b"CON", b"name:stream", b"%2e%2e%2f",
    ]  # fmt: skip
    for number, name in enumerate(odd):
        with Path(os.fsdecode(raw + b"/" + name)).open("wb") as handle:
            handle.write(b"%d\n" % number)
    Path(os.fsdecode(raw + b"/dir \xf0 \n")).mkdir()
    deep = folder
    for level in range(60):
        deep = deep / f"level-{level:02d}-{'x' * 40}"
        deep.mkdir()
    (deep / "bottom").write_bytes(b"deep\n")


def links(folder: Path) -> None:
    (folder / "one").write_bytes(b"one inode, three names\n")
    (folder / "sub").mkdir()
    os.link(folder / "one", folder / "two")
    os.link(folder / "one", folder / "sub" / "three")
    for name, target in {
        "relative": "one", "absolute": "/etc/passwd", "dangling": "nowhere/at/all", "up": "../../../../../../etc", "self": "self",
        "to-dir": "sub", "long": "x/" * 2000 + "y",
    }.items():  # fmt: skip
        (folder / name).symlink_to(target)
    os.symlink(b"target \xff\xfe", os.fsencode(folder) + b"/not-utf-8")
    os.mkfifo(folder / "fifo-one")
    os.link(folder / "fifo-one", folder / "fifo-two")
    os.link(folder / "dangling", folder / "dangling-two", follow_symlinks=False)


def holes(folder: Path) -> None:
    def sparse(name: str, size: int, *pieces: tuple[int, bytes]) -> None:
        with (folder / name).open("wb") as handle:
            handle.truncate(size)
            for offset, data in pieces:
                handle.seek(offset)
                handle.write(data)

    sparse("only-a-hole", 64 << 20)
    sparse("data-hole-data", 32 << 20, (0, b"first" * 1000), ((32 << 20) - 5, b"final"))
    sparse("hole-data-hole", 9 << 20, (4 << 20, bytes(range(256)) * 64))
    sparse("odd-length-hole", 1_234_567, (777_777, b"x"))
    sparse("zeros-that-are-data", 0, (0, bytes(300_000)))
    sparse("every-other-block", 2 << 20, *[(at, b"\xa5" * 4096) for at in range(0, 2 << 20, 8192)])


def nodes(folder: Path) -> None:
    os.mkfifo(folder / "fifo", 0o640)
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(folder / "block", stat.S_IFBLK | 0o660, os.makedev(259, 1_000_000))
    with socket.socket(socket.AF_UNIX) as server:
        at = os.open(folder, os.O_PATH)
        server.bind(f"/proc/self/fd/{at}/socket")
        os.close(at)


def owners(folder: Path) -> None:
    for number, mode in enumerate((0o0000, 0o0111, 0o0400, 0o0644, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777)):
        path = folder / f"mode-{mode:04o}"
        path.write_bytes(b"%o\n" % mode)
        os.chown(path, 1000 + number, 4_294_967_000 - number)
        path.chmod(mode)
        place = folder / f"dir-{mode:04o}"
        place.mkdir()
        (place / "inside").write_bytes(b"")
        os.chown(place, number, 0)
        place.chmod(mode)


def attributes(folder: Path) -> None:
    plain = folder / "attributed"
    plain.write_bytes(b"x")
    os.setxattr(plain, "user.empty", b"")
    os.setxattr(plain, "user.bytes", bytes(range(256)))
    os.setxattr(plain, b"user.\xff name", b"odd name")
    os.setxattr(plain, "user.large", b"L" * 2000)
    os.setxattr(plain, "trusted.asl", b"for root alone")
    able = folder / "capable"
    able.write_bytes(b"#!/bin/true\n")
    able.chmod(0o755)
    os.setxattr(able, "security.capability", CAPABILITY)
    lists = folder / "lists"
    lists.mkdir()
    (lists / "file").write_bytes(b"acl\n")
    run(["setfacl", "-m", "u:1234:rwx,g:4321:r--,m::rw-", str(lists / "file")])
    run(["setfacl", "-m", "u:1234:rwx", "-m", "d:u:1234:rwx,d:g::r-x,d:o::---", str(lists)])
    os.symlink("nowhere", folder / "link-with-xattr")
    os.setxattr(folder / "link-with-xattr", "trusted.on-link", b"v", follow_symlinks=False)
    os.setxattr(folder, "user.on-dir", b"d")


def shapes(folder: Path) -> None:
    """Sizes around the edges of chunks and blocks, and content that repeats."""
    for size in (0, 1, 4095, 4096, 4097, 16_383, 16_384, 65_536, 262_144, 262_145, 1_000_003):
        (folder / f"size-{size}").write_bytes((bytes(range(251)) * (size // 251 + 1))[:size])
    (folder / "empty-dir").mkdir()
    many = folder / "many"
    many.mkdir()
    for number in range(1500):
        (many / f"{number:05d}").write_bytes(b"%d" % (number % 7))


def times(folder: Path) -> None:
    for name, moment in {"nanoseconds": NANOSECONDS, "before-1970": OLD, "after-2038": 2_300_000_000 * 10**9 + 1, "epoch": 0}.items():
        path = folder / name
        path.write_bytes(name.encode())
        os.utime(path, ns=(moment, moment))
