# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates of /etc/asl: every key of the engine is there, and what they render is what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
from unit.plugins.support import CHECKOUT

from asl import config
from asl.config import main as known
from asl.errors import Usage

TEMPLATES = CHECKOUT / "roles" / "overlay" / "templates"


def render(tmp_path: Path, name: str, **given: Any) -> str:
    """The file that the role renders, with the settings of Ansible's template engine; returns its path."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, undefined=jinja2.StrictUndefined)
    defaults: dict[str, Any] = {"overlay_conf": {}, "overlay_federation": {}, "overlay_logging": {}}
    text = environment.get_template(f"{name}.j2").render({**defaults, **given})
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_nothing_given_is_the_defaults(tmp_path: Path) -> None:
    assert config.load(render(tmp_path, "asl.conf")) == config.Config()
    assert config.load_federation(render(tmp_path, "federation.conf")) == config.load_federation(None)
    assert config.load_logging(render(tmp_path, "logging.conf")) == config.Logging()


def test_every_key_of_the_engine_is_shown_with_its_default(tmp_path: Path) -> None:
    keys = list(known.keys())
    lines = Path(render(tmp_path, "asl.conf")).read_text().splitlines()
    shown = dict(line[2:].split(" =", 1) for line in lines if line[2:].split(" =")[0] in keys)
    assert list(shown) == keys
    stated = {key: value.strip() for key, value in shown.items() if value.strip()}
    assert config.load(None, stated) == config.Config()


def test_what_is_given_is_what_the_engine_reads(tmp_path: Path) -> None:
    given = {
        "mode": "local",
        "local.mount": "/srv/store",
        "local.approved": ["1234567890123456789", 42],
        "intake.jobs": 3,
        "remote.ca": None,
        "chunk.average": "128KiB",
    }
    read = config.load(render(tmp_path, "asl.conf", overlay_conf=given))
    expected = {"local_mount": "/srv/store", "local_approved": ("1234567890123456789", "42"), "intake_jobs": 3, "chunk_average": 128 << 10}
    assert read == config.Config(mode="local", **expected)  # type: ignore[arg-type]
    peer = {"peer.b.domain": "site-b", "peer.b.endpoint": "https://b.example.com", "peer.b.admit": "snapshots"}
    peers = config.load_federation(render(tmp_path, "federation.conf", overlay_federation=peer)).peers
    assert [(each.name, each.domain, each.admit) for each in peers] == [("b", "site-b", "snapshots")]
    assert config.load_logging(render(tmp_path, "logging.conf", overlay_logging={"level": "debug"})).level == "debug"


def test_an_unknown_key_reaches_the_engine_and_is_refused_there(tmp_path: Path) -> None:
    path = render(tmp_path, "asl.conf", overlay_conf={"local.mont": "/x"})
    with pytest.raises(Usage, match=r"asl\.conf:\d+: .*local\.mont"):
        config.load(path)
