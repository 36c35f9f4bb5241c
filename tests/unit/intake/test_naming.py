# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When files are named: behind the seal, before what was kept of the run is given up, and seen meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asl.intake import ledger, naming
from asl.intake.progress import Progress
from asl.intake.request import Request
from asl.intake.run import run
from asl.sources.media import Media
from asl.store import open_store


@pytest.fixture
def request_(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """An image of which a part is bad; what was read is written down at once."""
    monkeypatch.setattr(ledger.Ledger, "due", True)
    image, rescued = tmp_path / "image", tmp_path / "map"
    image.write_bytes(random.Random(1).randbytes(3 << 20))
    rescued.write_text("0x0 + 1\n0x0 0x100000 +\n0x100000 0x600 -\n0x100600 0x1FFA00 +\n")
    return Request((f"device:{image}",), store, "test", media=Media(map=str(rescued), name_files=True))


def test_a_run_that_is_stopped_while_it_names_files_reads_nothing_anew(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_result: dict[str, Any], _progress: Progress) -> None:
        assert len(open_store(request_.store).snapshots()) == 1, "it is sealed"
        raise KeyboardInterrupt

    monkeypatch.setattr(naming, "name_files", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(request_)
    monkeypatch.setattr(naming, "name_files", lambda _result, _progress: None)
    again = run(request_)
    assert (again["changed"], again["bytes_read"]) == (False, 0), "what was read is still known"
    assert run(request_)["bytes_read"] > 0, "it is given up when the run ends"


def test_how_far_naming_is_is_shown(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_disk: object, spec: str, *, sector: int, progress: Callable[[str, int], None]) -> dict[str, Any]:
        assert sector == 512
        shown.clear()
        progress(f"{spec}, partition 1", 7)
        return {"volumes": [], "files": [], "files_omitted": 0}

    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("asl.intake.progress.INTERVAL", 0.0)
    monkeypatch.setattr(naming, "find", find)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    run(request_, progress=Progress(show=shown.append))
    assert [(each["phase"], each["source"]) for each in shown][:1] == [("naming files", f"{request_.sources[0]}, partition 1: 7 files")]
