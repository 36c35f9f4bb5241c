# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay as an archive that can be baked into a rescue medium: exactly what laying it on an empty root gives, units enabled.

A machine that boots with it has the tools before anybody reaches it, and laying the same overlay on it later finds nothing to do.
The same overlay and configuration give the same bytes: sorted, owned by root, one fixed time.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Mapping
from typing import BinaryIO

from asl.errors import Usage
from asl.overlay import index
from asl.overlay.bundle import LAID_INDEX, Bundle, target_of
from asl.overlay.compare import directories
from asl.overlay.plan import CONFIG
from asl.overlay.services import units
from asl.overlay.validate import validate

# Where the units are wanted, as `systemctl enable` would do it.
WANTS = "/etc/systemd/system/multi-user.target.wants"
# A tmpfs at run time: what would be baked in there is never seen.
VOLATILE = "/run"


def machines(bundle: Bundle) -> list[str]:
    """The machines that BUNDLE has a libasl.so for; on others the tools run without it, slower."""
    return sorted(line.path.split("/")[1] for line in bundle.contents.lines if line.path.startswith("native/"))


def write(bundle: Bundle, config: Mapping[str, bytes], on_machine: str, target: BinaryIO, *, enable: bool = True) -> None:
    """Write the image of BUNDLE for ON_MACHINE (x86_64, aarch64) as a tar, with CONFIG (file name → text) in /etc/asl.

    ENABLE: whether its units start at boot. Raises Usage (CONFIG_INVALID) for a file that the overlay does not have, or that the
    engine could not read.
    """
    contract, lines, contents = bundle.contract, [], {}
    for name in config:
        if f"{CONFIG}/{name}" not in {entry.path for entry in contract.of("config") if entry.type == "file"}:
            raise Usage(f"{name} is not a configuration file of the overlay", reason="CONFIG_INVALID", hint="see ls /etc/asl")
        validate(name, config[name])
    for line in bundle.contents.lines:
        path = target_of(line.path, on_machine)
        if path:
            given = config.get(path[len(CONFIG) + 1 :]) if posixpath.dirname(path) == CONFIG else None
            contents[path] = bundle.files[line.path].read_bytes() if given is None else given
            lines.append(line._replace(path=path, digest=hashlib.sha256(contents[path]).hexdigest()))
    folders = {path: entry.mode for path, entry in directories(contract, list(contents)) if not _volatile(path)}
    contents[LAID_INDEX] = index.make(lines, bundle.contents.digest).encode()
    modes = {**{line.path: line.mode for line in lines}, LAID_INDEX: 0o644}
    links = {f"{WANTS}/{name}": f"/etc/systemd/system/{name}" for name in units(contract)} if enable else {}
    for path in [*contents, *folders, *links]:
        for parent in _parents(path):
            folders.setdefault(parent, 0o755)
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted([*contents, *folders, *links]):
            member = tarfile.TarInfo(path[1:])
            member.uname = member.gname = "root"
            if path in folders:
                member.type, member.mode = tarfile.DIRTYPE, folders[path]
            elif path in links:
                member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, links[path]
            else:
                member.mode, member.size = modes[path], len(contents[path])
            tar.addfile(member, io.BytesIO(contents[path]) if path in contents else None)


def _volatile(path: str) -> bool:
    return path == VOLATILE or path.startswith(VOLATILE + "/")


def _parents(path: str) -> list[str]:
    found = []
    while (path := posixpath.dirname(path)) != "/":
        found.append(path)
    return found
