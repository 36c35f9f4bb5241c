# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both kernels, and the shared vectors, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asl import kernel
from asl.kernel.native import NativeKernel, Unusable, open_library
from asl.kernel.python import PythonKernel

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def native() -> NativeKernel:
    """libasl.so as it lies beside the engine. Not built is a failure: the half that people run would go untested."""
    try:
        return open_library(kernel.LIBRARY)
    except Unusable as reason:
        pytest.fail(f"{reason}: run make overlay")


@pytest.fixture(scope="session")
def twin() -> PythonKernel:
    return PythonKernel("a test asked for it")


@pytest.fixture(scope="session", params=["native", "python"])
def either(request: pytest.FixtureRequest) -> kernel.Kernel:
    """Each kernel in turn: what holds for one holds for the other."""
    chosen: kernel.Kernel = request.getfixturevalue("native" if request.param == "native" else "twin")
    return chosen


@pytest.fixture(scope="session")
def vectors() -> Any:
    return json.loads((ROOT / "tests/vectors/kernel.json").read_text(encoding="utf-8"))
