# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop that works through the queue: whatever lies in it, the next job is served."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from asl.config import Config, load
from asl.errors import Usage
from asl.intake import queue, serve
from asl.intake.request import Request

BAD = "0" * 16
Lay = Callable[[Path], None]


def configure(settings: Mapping[str, str]) -> Config:
    return load(os.devnull, settings)


def lay_file(name: str, text: bytes) -> Lay:
    """A job whose file NAME has TEXT in it, beside a request that is as it should be."""

    def lay(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(json.dumps(Request(("tree:/nowhere",), "/nowhere", "test").document()))
        (folder / name).write_bytes(text)

    return lay


def lay_fifo(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / "request.json")


def lay_folder(folder: Path) -> None:
    (folder / "request.json").mkdir(parents=True)


def good(tree: Path, store: str) -> queue.Job:
    """A job that can be done, asked for after all others."""
    job = queue.submit(Request((f"tree:{tree}",), store, "test"))
    os.utime(job.path("request.json"), (2e9, 2e9))
    return job


def request(**changed: Any) -> bytes:
    plain = {**Request(("tree:/nowhere",), "/nowhere", "test").document(), **changed}
    return json.dumps(plain).encode()


WRONG: dict[str, Lay] = {
    "cut off": lay_file("request.json", request()[:-5]),
    "no object": lay_file("request.json", b"[]"),
    "empty": lay_file("request.json", b""),
    "no UTF-8": lay_file("request.json", b"\xff\xfe"),
    "nested without end": lay_file("request.json", b'{"sources":' + b"[" * 100_000),
    "a key is missing": lay_file("request.json", b'{"sources": ["tree:/nowhere"]}'),
    "no source": lay_file("request.json", request(sources=[])),
    "no domain": lay_file("request.json", request(domain="/")),
    "media of another kind": lay_file("request.json", request(media={"retries": "x"})),
    "a map that is a number": lay_file("request.json", request(sources=["device:/nowhere"], media={"map": 0})),
    "a zero byte in a path": lay_file("request.json", request(store="/nowhere\0")),
    "no text in a path": lay_file("request.json", request(sources=["tree:\ud800"])),
    "a label that no text is": lay_file("request.json", request(labels={"\ud800": "x"})),
    "settings that are cut off": lay_file("settings.json", b'{"intake.jobs"'),
    "a fifo": lay_fifo,
    "a folder": lay_folder,
}


@pytest.mark.parametrize("lay", WRONG.values(), ids=WRONG)
def test_a_bad_request_is_a_failed_job_and_the_next_one_is_served(lay: Lay, own_state: Path, tree: Path, store: str) -> None:
    lay(own_state / "runtime/queue" / BAD)
    after = good(tree, store)
    assert serve.serve(configure, drain=True)
    result = queue.find(BAD).document()["result"]
    assert (result["exit_code"], result["changed"]) == (2, False)
    assert result["reason"] in ("BAD_REQUEST", "NO_SOURCE", "BAD_DOMAIN"), result
    assert "snapshot" in after.document()["result"]


def test_a_bad_request_is_shown_among_the_others(own_state: Path, tree: Path, store: str) -> None:
    WRONG["cut off"](own_state / "runtime/queue" / BAD)
    after = good(tree, store)
    shown = {job.id: job.document() for job in queue.jobs()}
    assert shown[BAD]["state"] == queue.QUEUED and shown[BAD]["actions"] == []
    assert shown[after.id]["actions"]


@pytest.mark.parametrize("name", ["lock", "result.json.d", "progress.json"])
def test_a_job_whose_folder_is_not_as_it_should_be_does_not_stop_the_next(name: str, own_state: Path, tree: Path, store: str) -> None:
    folder = own_state / "runtime/queue" / BAD
    lay_file("request.json", request())(folder)
    (folder / name).mkdir()
    after = good(tree, store)
    assert serve.serve(configure, drain=True)
    assert "snapshot" in after.document()["result"]


def test_what_is_not_a_job_is_passed_by(own_state: Path, tree: Path, store: str) -> None:
    folder = own_state / "runtime/queue"
    (folder / "no-job").mkdir(parents=True)
    (folder / "no-job/result.json").write_text("{")
    (folder / "a-file").write_text("x")
    (folder / "nowhere").symlink_to("gone")
    after = good(tree, store)
    assert serve.serve(configure, drain=True)
    assert "snapshot" in after.document()["result"]


def test_a_fault_of_the_tool_fails_its_job_alone(own_state: Path, tree: Path, store: str) -> None:
    lay_file("settings.json", b'{"fault": "yes"}')(own_state / "runtime/queue" / BAD)
    after = good(tree, store)

    def faulty(settings: Mapping[str, str]) -> Config:
        if "fault" in settings:
            raise ZeroDivisionError("a fault")
        return configure(settings)

    assert serve.serve(faulty, drain=True)
    result = queue.find(BAD).document()["result"]
    assert result["reason"] == "INTERNAL" and "ZeroDivisionError" in result["error"]
    assert "snapshot" in after.document()["result"]


@pytest.mark.parametrize("text", [b"{}", b'{"snapshot": "1"}', b"[]", b'{"error": 5}', b"\xff", b'{"snap'])
def test_a_damaged_result_is_told_and_the_next_submit_runs_anew(text: bytes, tree: Path, store: str) -> None:
    job = good(tree, store)
    Path(job.path("result.json")).write_bytes(text)
    assert job.document()["result"]["reason"] == "BAD_RESULT"
    again = queue.submit(Request((f"tree:{tree}",), store, "test"))
    assert (again.id, again.state) == (job.id, queue.QUEUED)
    assert serve.serve(configure, drain=True)
    assert "snapshot" in job.document()["result"]


def test_a_result_that_is_no_file_is_told(tree: Path, store: str) -> None:
    job = good(tree, store)
    Path(job.path("result.json")).mkdir()
    assert job.document()["result"]["reason"] == "BAD_RESULT"
    with pytest.raises(queue.Unavailable) as told:
        queue.submit(Request((f"tree:{tree}",), store, "test"))
    assert told.value.reason == "BAD_RESULT" and job.path("result.json") in told.value.message


def test_settings_that_are_no_settings_are_refused(own_state: Path) -> None:
    WRONG["settings that are cut off"](own_state / "runtime/queue" / BAD)
    with pytest.raises(Usage) as told:
        _ = queue.Job(BAD).settings
    assert told.value.reason == "BAD_REQUEST"
