# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine and its peers: how each is told to do the same thing. No tool encrypts where it can be told not to; restic always does."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Optional

from rig.process import output, run

from bench.measure import Cost, cost

BIN = Path(__file__).resolve().parents[2] / "overlay" / "usr" / "local" / "bin"


class Tool(ABC):
    """A tool with one store in FOLDER, empty at first. PACKED: with the tool's usual compression, else with none."""

    name = ""

    def __init__(self, folder: Path, *, packed: bool) -> None:
        self.folder, self.packed = folder, packed
        self.store, self.scratch = folder / "store", folder / "scratch"
        self.scratch.mkdir(parents=True)
        self.env = {**os.environ, "LC_ALL": "C", "HOME": str(self.scratch), "TMPDIR": str(self.scratch)}
        self.taken = 0
        self.init()

    @abstractmethod
    def init(self) -> None:
        """Make the store."""

    def cost(self, *argv: str, cwd: Optional[Path] = None) -> Cost:
        """Run ARGV and measure."""
        return cost(argv, self.env, cwd, scratch=self.scratch)

    @abstractmethod
    def backup(self, source: Path, *, again: bool = False) -> Cost:
        """Store SOURCE. AGAIN: read everything, also what looks unchanged."""

    @abstractmethod
    def restore(self, target: Path, source: Path) -> Cost:
        """Write what was stored last, which came from SOURCE, below TARGET, which is not there yet."""

    @abstractmethod
    def verify(self) -> Optional[Cost]:
        """Read everything that is stored and hold it against its digests; None for a tool that cannot."""

    @staticmethod
    @abstractmethod
    def version() -> str:
        """As the tool says it."""


class Asl(Tool):
    """This engine."""

    name = "asl"

    def init(self) -> None:
        self.env |= {"ASL_STATE_DIR": str(self.folder / "state"), "ASL_RUN_DIR": str(self.folder / "run")}
        (self.folder / "run").mkdir(parents=True, exist_ok=True)  # as a laid overlay has it: byte code is kept there
        run([sys.executable, str(BIN / "asl-admin"), "init", str(self.store), "--quiet"], env=self.env)

    def _tool(self, name: str, *words: str) -> Cost:
        # As its own first line starts it, with the Python of the bench.
        return self.cost(sys.executable, "-BS", str(BIN / name), *words, "--store", str(self.store), "--quiet")

    def backup(self, source: Path, *, again: bool = False) -> Cost:
        kind = "tree" if source.is_dir() else "device"
        return self._tool("asl-intake", "run", f"{kind}:{source}", "--set", f"block.compression={'auto' if self.packed else 'off'}")

    def restore(self, target: Path, source: Path) -> Cost:
        return self._tool("asl-admin", "restore", "latest", "--to" if source.is_dir() else "--file", str(target))

    def verify(self) -> Cost:
        return self._tool("asl-admin", "verify")

    @staticmethod
    def version() -> str:
        return output([sys.executable, str(BIN / "asl-admin"), "--version"])


class Restic(Tool):
    """restic, repository version 2."""

    name = "restic"

    def init(self) -> None:
        self.env |= {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(self.store), "RESTIC_CACHE_DIR": str(self.folder / "cache")}
        run(["restic", "init", "--quiet", "--repository-version=2"], env=self.env)

    def backup(self, source: Path, *, again: bool = False) -> Cost:
        more = [f"--compression={'auto' if self.packed else 'off'}", *(["--force"] if again else [])]
        return self.cost("restic", "backup", "--quiet", *more, str(source))

    def restore(self, target: Path, source: Path) -> Cost:
        return self.cost("restic", "restore", "--quiet", "latest", "--target", str(target))

    def verify(self) -> Cost:
        return self.cost("restic", "check", "--quiet", "--read-data")

    @staticmethod
    def version() -> str:
        return output(["restic", "version"])


class Borg(Tool):
    """borg without encryption: SHA-256, lz4 where it compresses."""

    name = "borg"

    def init(self) -> None:
        self.env |= {"BORG_BASE_DIR": str(self.folder / "cache"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        run(["borg", "init", "--encryption=none", str(self.store)], env=self.env)

    def backup(self, source: Path, *, again: bool = False) -> Cost:
        self.taken += 1
        more = ["--files-cache=disabled"] if again else []
        packed = "lz4" if self.packed else "none"
        return self.cost("borg", "create", f"--compression={packed}", *more, f"{self.store}::{self.taken}", str(source))

    def restore(self, target: Path, source: Path) -> Cost:
        target.mkdir()
        return self.cost("borg", "extract", f"{self.store}::{self.taken}", cwd=target)

    def verify(self) -> Cost:
        return self.cost("borg", "check", "--verify-data", str(self.store))

    @staticmethod
    def version() -> str:
        return output(["borg", "--version"])


class Casync(Tool):
    """casync: chunks of the same sizes as this engine's, always compressed (zstd), a file each. It reads everything each time."""

    name = "casync"

    def init(self) -> None:
        self.store.mkdir()

    def _index(self, source: Path) -> str:
        return str(self.folder / f"{self.taken}.{'caidx' if source.is_dir() else 'caibx'}")

    def backup(self, source: Path, *, again: bool = False) -> Cost:
        self.taken += 1
        return self.cost("casync", "make", f"--store={self.store}", "--compression=zstd", self._index(source), str(source))

    def restore(self, target: Path, source: Path) -> Cost:
        return self.cost("casync", "extract", f"--store={self.store}", self._index(source), str(target))

    def verify(self) -> None:
        return None

    @staticmethod
    def version() -> str:
        return output(["casync", "--version"]).splitlines()[0]


TOOLS: dict[str, type[Tool]] = {each.name: each for each in (Asl, Restic, Borg, Casync)}
