#!/usr/bin/env python3
# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: a crashed host, rescued by the playbook, and parts of it brought back and compared.

The host is a container with systemd; its crashed disk is an image with a partition table and an ext4 whose journal was never replayed.
Nothing of this machine's own disks is read or written. It cleans up when it ends, however it ends.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, Optional

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tests"))

from rig import disks, scene  # noqa: E402
from rig.hosts import Rig  # noqa: E402
from rig.process import RigError, output  # noqa: E402

HOST = "broken-01"
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FILE, FOLDER = "home/ada/thesis.txt", "srv/odd"
ORIGINAL, BACK = "/run/original", "/var/tmp/back"


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def line(name: str, text: object) -> None:
    print(f"   {name:<18} {text}", flush=True)


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def crash(rig: Rig) -> tuple[scene.Scene, str]:
    heading("A crashed host")
    stage = scene.build(rig, [HOST])
    before = disks.sha256(stage.image)
    state = output(["blkid", "-p", "-s", "LABEL", "-s", "TYPE", "-o", "value", stage.partition]).split()
    line("host", f"{HOST} at {rig.host(HOST).address}: a live Linux, root over SSH")
    line("crashed disk", f"{stage.disk}: {size(stage.image.stat().st_size)}, GPT, two partitions, read-only")
    line("its root", f"{stage.partition}: {' '.join(state)}, power lost with writes in the journal")
    line("sha256", before)
    line("intake store", f"{scene.STORE}: an empty store on a disk of its own")
    return stage, before


def rescue(rig: Rig) -> None:
    argv = ["ansible-playbook", "playbooks/rescue.yml", "-l", "broken-hosts"]
    heading(shlex.join(argv))
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "ANSIBLE_INVENTORY": str(rig.inventory)}
    playbook = subprocess.Popen(argv, cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL)
    try:
        code = playbook.wait()
    except BaseException:
        playbook.terminate()
        playbook.wait()
        raise
    if code:
        raise RigError(f"the rescue ended with {code}; its own words are above, its report in {CHECKOUT / 'reports'}")


def rescued(rig: Rig) -> str:
    """Print what the newest snapshot holds; returns its name."""
    heading("What was rescued")
    listed = json.loads(rig.ssh(HOST, f"asl-admin --json snapshots --store {scene.STORE}").stdout)["snapshots"]
    name = str(listed[-1]["snapshot"])
    shown = json.loads(rig.ssh(HOST, f"asl-admin --json show {name} --store {scene.STORE}").stdout)
    line("snapshot", f"{name}, digest {shown['digest']}")
    for row in shown["sources"]:
        files = f"{row['files']} files, " if row["kind"] != "device" else ""
        unread = f", {size(row['bytes_unread'])} could not be read" if row["bytes_unread"] else ", every byte"
        line(row["source"], f"{files}{size(row['size'])}{unread}{', ' + row['view'] if row.get('view') else ''}")
    reports = sorted((CHECKOUT / "reports").rglob(f"{HOST}*"), key=lambda path: path.stat().st_mtime)
    for path in reports[-2:]:
        line("report", path.relative_to(CHECKOUT))
    return name


def bring_back(rig: Rig, stage: scene.Scene, snapshot: str) -> None:
    heading("Getting it back")
    rig.ssh(HOST, f"mkdir -p {ORIGINAL} && mount -o ro,noload {stage.partition} {ORIGINAL}")
    restore = f"asl-admin --quiet restore {snapshot} --store {scene.STORE}"
    source = shlex.quote(stage.sources()[0])
    for part in (FILE, FOLDER):
        rig.ssh(HOST, f"{restore} --source {source} --path {part} --to {BACK}")
    same = f"cmp {ORIGINAL}/{FILE} {BACK}/{FILE}"
    compare(rig, "file", FILE, same)
    rsync = "rsync -aHAXn --checksum --delete --modify-window=-1 --itemize-changes"
    one, other = f"{ORIGINAL}/{FOLDER}/", f"{BACK}/{FOLDER}/"
    compare(rig, "directory", FOLDER, f"{rsync} {one} {other}; {rsync} {other} {one}")
    rig.ssh(HOST, f"{restore} --source {shlex.quote(stage.sources()[1])} --file {BACK}/disk.img")
    compare(rig, "whole disk", stage.disk, f"cmp {stage.disk} {BACK}/disk.img")


def compare(rig: Rig, kind: str, name: str, command: str) -> None:
    """Run COMMAND, which says nothing when there is no difference."""
    said = rig.ssh(HOST, command, check=False)
    words = (said.stdout + said.stderr).strip()
    if words or said.returncode:
        raise RigError(f"{name} came back different: {' / '.join(words.splitlines()[:5])}")
    line(kind, f"{name}: identical")


def play(rig: Rig) -> None:
    stage, before = crash(rig)
    rescue(rig)
    bring_back(rig, stage, rescued(rig))
    heading("The crashed disk")
    after = disks.sha256(stage.image)
    if after != before:
        raise RigError(f"the crashed disk was changed: sha256 {before} before, {after} after")
    line("sha256", f"{after}: as before, not one bit was written")


def interrupted(_number: int, _frame: Optional[object]) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    for number in ENDS:
        signal.signal(number, interrupted)
    started, rig = time.monotonic(), Rig("demo")
    try:
        rig.enter()
        play(rig)
        heading(f"Done in {time.monotonic() - started:.0f} s; the host, its disks and its store are gone again")
        return 0
    except RigError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped; cleaning up", file=sys.stderr)
        return 130
    finally:
        # A second Ctrl-C must not leave half of it behind.
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        if os.geteuid() == 0:
            rig.down()


if __name__ == "__main__":
    sys.exit(main())
