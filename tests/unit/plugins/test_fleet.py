# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a fleet and the lines that show it: true figures, never wider or higher than the terminal, nothing that moves it."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20
Document = dict[str, Any]


def room(name: str) -> Any:
    return importlib.import_module(f"ansible_collections.asl.rescue.plugins.plugin_utils.{name}")


def progress(done: int, total: int | None = 100 * MIB, **more: Any) -> Document:
    return {"progress": {
        "phase": "reading", "source": "device:/dev/sda", "bytes_done": done, "bytes_total": total, "rate": 5 * MIB, "eta": 19,
        "bytes_unread": 0, "seconds_since_read": 0.2, **more,
    }}  # fmt: skip


def fleet(count: int) -> Any:
    """``count`` hosts that read, each a little further than the one before."""
    found = room("_fleet").Fleet()
    for number in range(count):
        found.advance(f"host{number:04}", "intake", progress(number * MIB, eta=count - number))
    return found


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "░" * 8), (1, "█" * 8), (0.5, "████░░░░"), (0.999, "███████▉"), (1 / 64, "▏░░░░░░░"), (None, "········"), (7, "█" * 8)],
)
def test_a_bar_is_as_wide_as_it_is_asked_to_be(share: float | None, text: str) -> None:
    assert room("_fleet_view").gauge(share, 8) == text


def test_a_hundred_per_cent_means_done() -> None:
    assert [room("_fleet_view").percent(share) for share in (0.9999, 1.0, None)] == [" 99 %", "100 %", "  ? %"]


def test_a_host_that_reads_is_one_line_with_everything_an_operator_asks() -> None:
    view, one = room("_fleet_view"), room("_fleet").Fleet()
    changed = [one.advance("web07", "intake", progress(25 * MIB, bytes_unread=4096, seconds_since_read=42.0)) for _twice in range(2)]
    line = view.live(one.host("web07"), 5, 24)
    assert changed == [True, False]
    assert line.startswith("web07  reading device:/dev/sda   █████░")
    assert line.endswith(" 25 %  25.0 MiB of 100.0 MiB · 5.0 MiB/s · ETA 0:19 · UNREAD 4.0 KiB · last read 0:42 ago")
    assert "STALLED" not in line


@pytest.mark.parametrize(
    ("result", "stage"),
    [
        ({"progress": None}, "queued"),
        (progress(1), "reading"),
        (progress(1, seconds_since_read=60), "stalled"),
        (progress(1, bytes_total=None, eta=None), "reading"),
    ],
)
def test_the_stage_of_a_host_that_works(result: Document, stage: str) -> None:
    one = room("_fleet").Fleet()
    one.advance("web07", "intake", result)
    assert one.host("web07").stage == stage
    assert f"1 {stage}" in room("_fleet_view").summary(one)


def test_nobody_knows_when_the_fleet_is_done_as_long_as_one_host_does_not() -> None:
    model = room("_fleet")
    two = fleet(2)
    assert model.total(two.hosts.values())["eta"] == 2
    two.advance("late", "intake", progress(1, total=None, eta=None))
    assert model.total(two.hosts.values())["eta"] is None


def test_at_the_end_a_host_is_what_it_was_last() -> None:
    one = room("_fleet").Fleet()
    one.end("good", "verify", "done", "read back")
    one.end("gone", "overlay", "unreachable", "no route")
    one.end("gone", "end", "failed", "no route. Next: look")
    one.expect(["good", "gone", "new"])
    one.settle()
    assert {host.name: host.stage for host in one.hosts.values()} == {"good": "done", "gone": "unreachable", "new": "waiting"}


def test_a_phase_that_was_skipped_leaves_nobody_waiting() -> None:
    one = room("_fleet").Fleet()
    one.start("web07", "intake")
    one.skip("web07")
    one.end("db01", "preflight", "failed", "no")
    one.skip("db01")
    assert {host.name: host.stage for host in one.hosts.values()} == {"web07": "done", "db01": "failed"}


def test_a_host_that_has_ended_reads_no_more() -> None:
    two = fleet(2)
    two.end("host0000", "intake", "done", "snapshot 1")
    assert room("_fleet").total(two.hosts.values())["rate"] == 5 * MIB
    assert [host.name for host in two.working()] == ["host0001"]


@pytest.mark.parametrize(
    ("count", "width", "height"), [(3, 200, 24), (3, 40, 24), (60, 100, 24), (60, 100, 3), (1000, 100, 24), (1000, 30, 4)]
)
def test_the_block_stays_within_the_terminal(count: int, width: int, height: int) -> None:
    lines = room("_fleet_view").block(fleet(count), width, height, 200)
    assert 1 < len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert lines[-1].startswith(f"{count} hosts"[:width])


def test_where_there_is_no_room_for_all_the_stalled_are_seen() -> None:
    many = fleet(60)
    many.advance("last", "intake", progress(1, seconds_since_read=600))
    lines = room("_fleet_view").block(many, 120, 10, 200)
    assert lines[0].startswith("last")
    assert lines[-2] == "… and 53 more"


def test_a_large_fleet_is_shown_by_stages_and_its_slowest() -> None:
    many = fleet(1000)
    for name in ("host0001", "host0002"):
        many.end(name, "overlay", "unreachable", "no route")
    text = "\n".join(room("_fleet_view").grouped(many))
    assert "reading         998" in text
    assert "unreachable       2  host0001, host0002" in text
    assert "slowest:\n  host0000" in text


def test_names_from_anywhere_do_not_move_the_terminal() -> None:
    one = room("_fleet").Fleet()
    one.advance("a\x1b[2Jb", "intake", progress(1, source="fs:/dev/\r\nsda"))
    for line in (*room("_fleet_view").block(one, 200, 24, 200), room("_fleet_view").plain(one.host("a\x1b[2Jb"))):
        assert line.isprintable()


def test_a_screen_that_is_no_terminal_is_never_drawn_on() -> None:
    stream = io.StringIO()
    screen = room("_screen").Screen(stream)
    screen.draw(["line"])
    screen.clear()
    assert (screen.live, stream.getvalue()) == (False, "")


def test_events_are_lines_of_json_and_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    events = room("_screen").Events(str(tmp_path / "events"))
    assert events.write({"event": "run", "reason": None, "text": "a\nb"}) is None
    assert json.loads((tmp_path / "events").read_text()) == {"event": "run", "text": "a\nb"}
    full = room("_screen").Events("/dev/full")
    assert "No space left on device" in full.write({"event": "run"})
    assert full.write({"event": "end"}) is None


@pytest.mark.parametrize(
    ("phase", "word", "result", "text"),
    [
        ("overlay", "ok", {"actions": []}, "nothing to do"),
        ("overlay", "changed", {"actions": ["a", "b"]}, "2 actions"),
        ("preflight", "ok", {"mode": "local", "reason": "LOCAL_READY"}, "local (LOCAL_READY)"),
        ("intake", "changed", {"actions": ["read tree:/x into /s"]}, "read tree:/x into /s"),
        ("intake", "ok",
         {"snapshot": "3", "store": "/s", "size": 2048, "bytes_unread": 0}, "snapshot 3 in /s: 2.0 KiB, every byte, unchanged"),
        ("verify", "ok", {"verification": {"bytes": 2048, "artifacts": 7}}, "2.0 KiB in 7 artifacts read back, every digest as it was"),
        ("pool", "failed", {"msg": "Some failed", "results": [{"failed": False}, {"failed": True, "msg": "no [NO]"}]}, "no [NO]"),
        ("pool", "changed", {"results": [{"actions": ["import a"]}, {"actions": ["import b"]}]}, "2 actions"),
        ("verify", "ok", {"verification": {"bytes": 2048, "artifacts": 7, "artifacts_skipped": 9}},
         "2.0 KiB in 7 artifacts read back, every digest as it was; a sample, 9 were left out"),
        ("verify", "ok", {"verification": {"sources": [{}], "snapshot": "1"}}, "1 sources held against the snapshot, nothing differs"),
        ("verify", "failed", {"msg": "Task failed: it is\n damaged [DAMAGED]"}, "it is damaged [DAMAGED]"),
    ],
)  # fmt: skip
def test_how_a_phase_ended(phase: str, word: str, result: Document, text: str) -> None:
    assert room("_fleet_result").ended(phase, word, result) == text
