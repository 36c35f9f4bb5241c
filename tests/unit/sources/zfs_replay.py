# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""zpool and zfs as the real ones answered once (tests/fixtures/zfs/VERSION/send.json.gz), for machines without ZFS."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path
from typing import Any, Optional

import pytest

from asl import system
from asl.zfs import ask

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "zfs" / "2.3.9" / "send.json.gz"
SCRIPT = """#!{python} -B
import base64, gzip, json, os, sys
place = {place!r}
argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
with open(place + "/calls", "a") as calls:
    calls.write(" ".join(argv) + "\\n")
with open(place + "/changed.json") as file:
    changed = json.load(file)
for each in [*changed, *json.loads(gzip.open({fixture!r}).read())]:
    if each["argv"] == argv:
        sys.stderr.write(base64.b64decode(each["stderr"]).decode())
        sys.stderr.flush()
        data = base64.b64decode(each["stdout"])
        while data:
            data = data[os.write(1, data):]
        sys.exit(each["rc"])
sys.exit("never recorded: " + " ".join(argv))
"""


def recorded(*argv: str) -> dict[str, Any]:
    """The record of one command line, its output as bytes."""
    for each in json.loads(gzip.decompress(FIXTURE.read_bytes())):
        if each["argv"] == list(argv):
            return {**each, "stdout": base64.b64decode(each["stdout"]), "stderr": base64.b64decode(each["stderr"])}
    raise AssertionError(f"never recorded: {argv}")


class Replay:
    """The tools in a folder of their own. `calls` are the command lines asked so far."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._changed: list[dict[str, Any]] = []
        self.change(["zfs", "no-command"], rc=2)
        (place / "calls").touch()
        for name in ("zpool", "zfs"):
            text = SCRIPT.format(python=sys.executable, place=str(place), fixture=str(FIXTURE))
            (place / name).write_text(text)
            (place / name).chmod(0o755)

    def change(self, argv: list[str], *, rc: int = 0, stdout: bytes = b"", stderr: bytes = b"") -> None:
        """Answer ARGV with this instead."""
        out, err = (base64.b64encode(each).decode() for each in (stdout, stderr))
        self._changed.append({"argv": argv, "rc": rc, "stdout": out, "stderr": err})
        (self._place / "changed.json").write_text(json.dumps(self._changed))

    @property
    def calls(self) -> list[str]:
        return (self._place / "calls").read_text().splitlines()


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, loaded: Optional[bool] = True) -> Replay:
    """Tools that replay, and a kernel module that is LOADED or not."""
    place = tmp_path / "tools"
    place.mkdir()
    monkeypatch.setattr(system, "SEARCH", f"{place}:{system.SEARCH}")
    monkeypatch.setattr(ask, "MODULE", str(place if loaded else place / "none"))
    return Replay(place)
