# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What --json prints."""

from __future__ import annotations

import json
import os

import pytest

from asl.cli.context import json_text


def test_names_that_are_no_text_come_back() -> None:
    assert os.fsencode(json.loads(json_text({"path": b"/a\xff"}))["path"]) == b"/a\xff"
    with pytest.raises(TypeError, match="set does not belong"):
        json_text([{1}])
