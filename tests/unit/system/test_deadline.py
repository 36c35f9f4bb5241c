# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that may never be answered: one that hangs, dies or fails does not touch the others."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial

import pytest

from asl.deadline import in_child, in_children, in_thread


def hang() -> None:
    signal.pause()


def die() -> None:
    os._exit(9)


def fail() -> None:
    raise PermissionError(1, "Operation not permitted")


def test_each_has_its_own_outcome() -> None:
    outcomes = in_children({"good": lambda: {"n": [1, 2]}, "hangs": hang, "dies": die, "fails": fail}, 1.5)
    assert list(outcomes) == ["good", "hangs", "dies", "fails"]
    assert outcomes["good"].value == {"n": [1, 2]}
    assert outcomes["hangs"].timed_out
    assert outcomes["hangs"].error == "no answer within 1.5 seconds"
    assert outcomes["dies"].error == "the reading process ended without an answer"
    assert outcomes["fails"].error == "operation not permitted"


def test_more_than_run_at_a_time_and_long_answers() -> None:
    outcomes = in_children({str(number): partial(str.ljust, "", 100000 * number) for number in range(6)}, 30, jobs=2)
    assert [len(outcomes[str(number)].value) for number in range(6)] == [100000 * number for number in range(6)]


def test_a_child_changes_nothing_here() -> None:
    seen: list[int] = []
    assert in_child(lambda: seen.append(1), 20).error is None
    assert seen == []


def test_no_child_is_left_behind() -> None:
    in_children({"hangs": hang, "good": os.getpid}, 0.5)
    gone_by = time.monotonic() + 20
    while True:  # the killed one is reaped here, since nobody waited for it
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        assert time.monotonic() < gone_by, f"a child is left (last reaped: {pid})"


def test_in_thread() -> None:
    assert in_thread(lambda: 5, 20) == 5
    with pytest.raises(PermissionError):
        in_thread(fail, 20)
    never = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        in_thread(never.wait, 0.2)
    never.set()
