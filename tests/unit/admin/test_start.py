# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the start of a tool costs: every module is compiled anew each time, so a command imports what it needs and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asl.store import init_store

BIN = Path(__file__).parents[3] / "overlay/usr/local/bin"
# HTTPS and TLS, the pool of threads that compresses, and what says where an unforeseen error came from.
HEAVY = {"ssl", "http.client", "asl.backends.https", "concurrent.futures.thread", "traceback", "asl.formats.attestation"}


@pytest.mark.parametrize("words", [("asl-admin", "status"), ("asl-admin", "snapshots"), ("asl-debug", "log")])
def test_a_store_in_a_directory_is_opened_without_what_only_others_need(tmp_path: Path, words: tuple[str, str]) -> None:
    store = str(tmp_path / "store")
    init_store(store)
    # Without site: what it imports is the machine's affair.
    argv = [sys.executable, "-S", "-B", "-X", "importtime", str(BIN / words[0]), words[1], "--store", store]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "asl.store" in imported
    assert imported & HEAVY == set()
