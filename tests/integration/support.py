# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the three tools as a person would: as programs, from the checkout, with state of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

from rig.gateway import Site

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = CHECKOUT / "overlay" / "usr" / "local" / "bin"


# The kernel counts what a process held before it became the tool, and pytest is large: so a small one starts the tool and looks.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as peak:
    peak.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


class Outcome(NamedTuple):
    """How a tool ended, and its JSON document (empty when it was killed)."""

    code: int
    document: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Machine:
    """Where the tools keep their state: two machines share nothing but what they are told to."""

    folder: Path

    def environment(self, extra: Optional[dict[str, str]] = None) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("ASL_")}
        state, run = self.folder / "state", self.folder / "run"
        for place in (state, run):
            place.mkdir(parents=True, exist_ok=True)
        return {**plain, "ASL_STATE_DIR": str(state), "ASL_RUN_DIR": str(run), **(extra or {})}

    def start(self, tool: str, *words: str, env: Optional[dict[str, str]] = None, under: Sequence[str] = ()) -> Tool:
        """Start TOOL and do not wait. UNDER is a command to run it with (a namespace, a limit)."""
        argv = [*under, str(BIN / tool), "--json", "--quiet", *words]
        return Tool(argv, self.environment(env), self.folder)

    def run(
        self, tool: str, *words: str, codes: Sequence[int] = (0,), env: Optional[dict[str, str]] = None, under: Sequence[str] = ()
    ) -> Outcome:
        """Run TOOL to its end; an exit status that is not among CODES fails the test with what the tool said."""
        running = self.start(tool, *words, env=env, under=under)
        outcome = running.wait()
        assert outcome.code in codes, f"{tool} {' '.join(words)} ended with {outcome.code}: {outcome.document or running.errors()}"
        return outcome

    def init(self, store: Path) -> Path:
        self.run("asl-admin", "init", str(store))
        return store

    def intake(self, source: str, store: Path, *words: str, codes: Sequence[int] = (0,), env: Optional[dict[str, str]] = None) -> Outcome:
        return self.run("asl-intake", "run", source, "--store", str(store), *words, codes=codes, env=env)

    def peak(self, source: str, store: Path) -> tuple[int, dict[str, Any]]:
        """Take SOURCE; the most memory that took, in bytes, and the document."""
        kept = self.folder / "peak"
        under = [sys.executable, "-S", "-c", MEASURE, str(kept)]
        document = self.run("asl-intake", "run", source, "--store", str(store), under=under).document
        return int(kept.read_text()) * 1024, document

    def check(self, store: Path) -> dict[str, Any]:
        """The verdict of asl-debug check, faults or none."""
        return self.run("asl-debug", "check", "--store", str(store), codes=(0, 5)).document


class Tool:
    """A tool that runs. Output goes to files: a pipe that nobody reads would stop it."""

    def __init__(self, argv: Sequence[str], env: dict[str, str], folder: Path) -> None:
        self._out = (folder / f"out-{time.monotonic_ns()}").open("w+b")
        self._err = (folder / f"err-{time.monotonic_ns()}").open("w+b")
        self._started = time.monotonic()
        # A session of its own, so that a kill reaches every process of it.
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, env=env, start_new_session=True)

    def kill_after(self, seconds: float) -> bool:
        """SIGKILL the tool and all its children after SECONDS; False when it had ended by itself before."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait() == -signal.SIGKILL

    def wait(self) -> Outcome:
        code = self.process.wait()
        return Outcome(code, self.document(), time.monotonic() - self._started)

    def document(self) -> dict[str, Any]:
        self._out.seek(0)
        text = self._out.read()
        document: dict[str, Any] = json.loads(text) if text.strip() else {}
        return document

    def errors(self) -> str:
        self._err.seek(0)
        return self._err.read().decode(errors="replace")


def differences(one: Path, other: Path) -> list[str]:
    """What rsync would do to make OTHER equal to ONE, and ONE to OTHER: contents, hard links, ACLs, xattrs, nanoseconds, sparse or not."""
    found = []
    for left, right in ((one, other), (other, one)):
        argv = ["rsync", "-aHAXn", "--checksum", "--delete", "--modify-window=-1", "--itemize-changes", f"{left}/", f"{right}/"]
        done = subprocess.run(argv, capture_output=True, text=True, errors="surrogateescape", check=False)
        assert done.returncode == 0, done.stderr
        found += done.stdout.splitlines()
    return found


def number(name: str, default: int) -> int:
    """A count from the environment: long runs turn it up."""
    return int(os.environ.get(name, default))


def host(folder: Path, site: Site, *verbs: str) -> Machine:
    """A machine with a token under its /run/asl."""
    machine = Machine(folder)
    machine.environment()
    token = folder / "run" / "token"
    token.touch(0o600)
    token.write_text(site.token(*verbs))
    return machine
