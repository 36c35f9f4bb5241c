# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""asl.conf: which backend, where it is, and how an intake works."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

from asl import paths
from asl.config import parse, values

LOCAL_MOUNT = "/mnt/asl/local"


class Config(NamedTuple):
    """What asl.conf and --set say, typed and checked. Sizes are bytes, bandwidth is bytes per second, None means not set."""

    mode: str = "auto"  # auto | local | remote
    local_mount: str = LOCAL_MOUNT
    local_pool: str = "rescuepool"
    local_dataset: str = "asl"
    local_approved: tuple[str, ...] = ()  # pool GUIDs as decimal strings
    remote_endpoint: Optional[str] = None  # https://host[:port][/path], no trailing slash
    remote_mount: Optional[str] = None  # a folder where a network file system is mounted, in the place of an endpoint
    remote_ca: Optional[str] = None  # a PEM file; None means the system's roots
    remote_token_file: Optional[str] = None
    cache_size: int = 0  # of blocks read from a gateway, under /var/lib/asl/cache; 0 means none
    domain_id: str = "rescue-domain"
    chunk_average: int = 64 << 10
    block_size: int = 64 << 20
    block_compression: str = "off"  # off | zstd | auto
    block_level: int = 2  # of zstd
    intake_jobs: int = 0  # 0 means one for each CPU; see workers
    intake_bandwidth: int = 0  # 0 means unlimited

    @property
    def remote_place(self) -> Optional[str]:
        """Where data goes in remote mode: a URL or a folder."""
        return self.remote_endpoint or self.remote_mount

    @property
    def workers(self) -> int:
        """How many workers an intake has: intake.jobs, or the number of CPUs this process may use."""
        return self.intake_jobs or len(os.sched_getaffinity(0))


class Key(NamedTuple):
    """A key of asl.conf: the field it fills and how its text becomes a value."""

    field: str
    convert: Callable[[str], Any]


def keys() -> dict[str, Key]:
    """Every key of asl.conf, in the order in which the shipped file shows them."""
    return {
        "mode": Key("mode", values.choice("auto", "local", "remote")),
        "local.mount": Key("local_mount", values.path),
        "local.pool": Key("local_pool", values.pool),
        "local.dataset": Key("local_dataset", values.dataset),
        "local.approved": Key("local_approved", values.guids),
        "remote.endpoint": Key("remote_endpoint", values.optional(values.https)),
        "remote.mount": Key("remote_mount", values.optional(values.path)),
        "remote.ca": Key("remote_ca", values.optional(values.path)),
        "remote.token-file": Key("remote_token_file", values.optional(values.secret_path)),
        "cache.size": Key("cache_size", values.size(0, 1 << 50)),
        "domain.id": Key("domain_id", values.domain),
        "chunk.average": Key("chunk_average", values.size(4 << 10, 4 << 20, power_of_two=True)),
        "block.size": Key("block_size", values.size(1 << 20, 64 << 20)),
        "block.compression": Key("block_compression", values.choice("off", "zstd", "auto")),
        "block.level": Key("block_level", values.integer(1, 19)),
        "intake.jobs": Key("intake_jobs", values.integer(0, 256)),
        "intake.bandwidth": Key("intake_bandwidth", values.bandwidth),
    }


def load(path: Optional[str] = None, overrides: Optional[Mapping[str, str]] = None) -> Config:
    """asl.conf, typed and checked, with the overrides (KEY → text, as ``--set`` gives them) over it.

    ``path=None`` is /etc/asl/asl.conf; when that is missing, all defaults hold. Raises Usage (CONFIG_INVALID) with file:line.
    """
    known = keys()
    entries = parse.read(path, paths.CONFIG, overrides or {})
    parse.refuse_unknown(entries, known)
    fields = {known[key].field: convert(key, entry, known[key].convert) for key, entry in entries.items()}
    config = Config(**fields)
    if config.block_size < 4 * config.chunk_average:
        place = (entries.get("block.size") or entries["chunk.average"]).place
        raise parse.invalid(
            place,
            f"block.size {values.show_size(config.block_size)} is less than four times chunk.average "
            f"{values.show_size(config.chunk_average)}, so the largest chunk would not fit",
            "raise block.size or lower chunk.average",
        )
    if config.remote_endpoint and config.remote_mount:
        raise parse.invalid(entries["remote.mount"].place, "remote.mount and remote.endpoint are both set", "set one of them")
    if config.mode == "remote" and not config.remote_place:
        what, hint = "mode is remote, but remote.endpoint is not set", "set remote.endpoint = https://…, or remote.mount = /mnt/asl/remote"
        raise parse.invalid(entries["mode"].place, what, hint)
    return config


def convert(key: str, entry: parse.Entry, using: Callable[[str], Any]) -> Any:
    """The typed value of an entry; Usage with its place when the text is none. A value that may hide a secret is not shown."""
    try:
        return using(entry.value)
    except ValueError as error:
        shown = "" if "@" in entry.value else f", not {entry.value!r}" if entry.value else ", not empty"
        raise parse.invalid(entry.place, f"{key} {error}{shown}", f"see the comment on {key} in the shipped file") from error
