# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change at any time.
"""Files that bring the overlay onto a rescue medium. What is in the overlay, the engine decides; here it is only put into boxes.

overlay/asl-overlay-MACHINE.tar        for any system: tar -xpf … -C /
sysrescue/iso/sysresccd/asl.srm        for a SystemRescue medium, with
sysrescue/iso/sysrescue.d/600-asl.yaml
sysrescue/pxe/asl.srm                  for SystemRescue over the network, with
sysrescue/pxe/asl.yaml
live/asl.squashfs                      for Debian live, with
live/filesystem.module
SHA256SUMS
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

# One time for everything, so that the same overlay gives the same bytes; one processor, so that nothing depends on how many there are.
SQUASHFS = (
    "-tar", "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-no-xattrs", "-mkfs-time", "0", "-all-time", "0",
    "-root-mode", "755", "-root-uid", "0", "-root-gid", "0", "-root-time", "0", "-processors", "1",
)  # fmt: skip


class ImageError(Exception):
    """An image cannot be made; one sentence and its reason code."""

    def __init__(self, message: str, reason: str, hint: str) -> None:
        super().__init__(message)
        self.reason, self.hint = reason, hint


def archive(bundle: t.Any, config: t.Mapping[str, str], machine: str, enable: bool) -> bytes:
    """The overlay as a tar. Raises AslError of the engine."""
    from asl.overlay import image

    target = io.BytesIO()
    image.write(bundle, {name: text.encode() for name, text in config.items()}, machine, target, enable=enable)
    return target.getvalue()


def squashfs(tar: bytes) -> bytes:
    """A squashfs of a TAR. Raises ImageError."""
    with tempfile.TemporaryDirectory(prefix="asl-image-") as folder:
        target = Path(folder) / "image"
        try:
            # The options say every time; the variable for reproducible builds would contradict them.
            env = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
            argv = ["mksquashfs", "-", str(target), *SQUASHFS]
            done = subprocess.run(argv, input=tar, capture_output=True, check=False, env={**env, "LC_ALL": "C"})
        except FileNotFoundError as exc:
            raise ImageError(
                "mksquashfs is not on this machine, and an image is a squashfs", "NO_MKSQUASHFS", "install squashfs-tools 4.5 or newer"
            ) from exc
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())[-300:]
            raise ImageError(f"mksquashfs ended with {done.returncode}: {said}", "MKSQUASHFS_FAILED", "it needs version 4.5 or newer")
        return target.read_bytes()


def sums(files: t.Mapping[str, bytes]) -> bytes:
    """What sha256sum -c reads."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())).encode()


def differing(folder: Path, files: t.Mapping[str, bytes]) -> list[str]:
    """The names of FILES that are not there with these very bytes. Raises OSError."""
    found = []
    for name, data in sorted(files.items()):
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            found.append(name)
    return found


def write(folder: Path, files: t.Mapping[str, bytes], names: t.Sequence[str]) -> None:
    """Put these of FILES in place, each whole; the sums come last. Raises OSError."""
    for name in sorted(names, key=lambda name: (name == "SHA256SUMS", name)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.part")
        half.write_bytes(files[name])
        half.chmod(0o644)
        half.replace(path)
