# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman with storage, run files and settings of the rig's own: the machine's other containers are not seen and not touched."""

from __future__ import annotations

import resource
import subprocess

from .places import RUNS, cache
from .process import run


def settings() -> str:
    """The containers.conf: limits no higher than this process may set (raising them needs CAP_SYS_RESOURCE)."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    files = 1048576 if files == resource.RLIM_INFINITY else files
    processes = 32768 if processes == resource.RLIM_INFINITY else min(processes, 32768)
    return f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'


def argv(*args: str) -> list[str]:
    base = RUNS / "podman"
    return [
        "podman", "--root", str(cache("containers")), "--runroot", str(base / "run"), "--tmpdir", str(base / "tmp"),
        "--cgroup-manager=cgroupfs", "--events-backend=file", *args,
    ]  # fmt: skip


def podman(*args: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    conf = RUNS / "containers.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    text = settings()
    if not conf.exists() or conf.read_text() != text:
        conf.write_text(text)
    return run(argv(*args), check=check, timeout=timeout, env={"CONTAINERS_CONF": str(conf)})
