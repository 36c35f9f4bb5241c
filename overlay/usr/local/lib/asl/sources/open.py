# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a specification (`tree:/path`) to a source."""

from __future__ import annotations

import os
from collections.abc import Sequence

from asl.errors import Usage
from asl.sources.base import Source

FORMS = (
    "tree:/path, fs:/dev/sda2, fs:luks:/dev/sda3, device:/dev/sda, zfs:pool/dataset@snapshot, fs:zfs:pool/dataset@snapshot, "
    "stream:/path or stream:-"
)


def open_source(spec: str, exclude_paths: Sequence[str] = ()) -> Source:
    """The source that SPEC names; nothing is opened or mounted before it is entered. EXCLUDE_PATHS are left out of trees.

    Raises Usage for what cannot be meant, Unavailable for a kind this engine cannot read."""
    scheme, colon, path = spec.partition(":")
    if not colon or not scheme:
        raise Usage(f"{spec!r} names no kind of source", reason="BAD_SOURCE", hint=f"sources are {FORMS}")
    if scheme not in ("tree", "fs", "device", "zfs", "stream"):
        raise Usage(f"{spec}: {scheme!r} is no kind of source", reason="BAD_SOURCE", hint=f"sources are {FORMS}")
    if not path:
        raise Usage(f"{spec!r} names no path", reason="BAD_SOURCE", hint=f"sources are {FORMS}")
    if scheme == "zfs" or spec.startswith("fs:zfs:"):
        return _dataset(spec, exclude_paths)
    if spec.startswith("fs:luks:/"):
        return _container(spec, exclude_paths)
    if not path.startswith("/") and spec != "stream:-":
        raise Usage(f"{spec}: the path is not absolute", reason="BAD_SOURCE", hint=f"did you mean {scheme}:{os.path.abspath(path)}?")
    if "\0" in path:
        raise Usage(f"{spec!r}: there is a NUL in the path", reason="BAD_SOURCE")
    return _open(scheme, spec, path, exclude_paths)


def _dataset(spec: str, exclude_paths: Sequence[str]) -> Source:
    from asl.sources.dataset import check_name

    files = spec.startswith("fs:")
    name = spec.partition("zfs:")[2]
    check_name(spec, name)
    if files:
        from asl.sources.zfsfiles import ZfsFilesSource

        return ZfsFilesSource(spec, name, exclude_paths)
    from asl.sources.zfs import ZfsSource

    return ZfsSource(spec, name)


def _container(spec: str, exclude_paths: Sequence[str]) -> Source:
    from asl.sources.fs import check_fs_path
    from asl.sources.luks import LuksSource

    path = spec[len("fs:luks:") :]
    check_fs_path(spec, path)
    return LuksSource(spec, path, exclude_paths)


def _open(scheme: str, spec: str, path: str, exclude_paths: Sequence[str]) -> Source:
    # Each kind is imported when it is used: most runs need one.
    if scheme == "tree":
        from asl.sources.tree import TreeSource, check_tree_path

        check_tree_path(spec, path)
        return TreeSource(spec, path, exclude_paths)
    if scheme == "fs":
        from asl.sources.fs import FilesystemSource, check_fs_path

        check_fs_path(spec, path)
        return FilesystemSource(spec, path, exclude_paths)
    if scheme == "device":
        from asl.sources.device import DeviceSource, check_device_path

        check_device_path(spec, path)
        return DeviceSource(spec, path)
    from asl.sources.stream import StreamSource, check_stream_path

    check_stream_path(spec, path)
    return StreamSource(spec, path)
