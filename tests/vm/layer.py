# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overlay as a squashfs layer for live-boot, made by image.yml: what a rescue medium that was customised carries."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rig.places import CHECKOUT
from rig.process import run

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


def make(folder: Path) -> Path:
    """The layer, in FOLDER. Equal files give an equal layer, so that the medium it is put into is found in the cache."""
    given = json.dumps({"asl_image_dir": str(folder)})
    env = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1700000000"}
    run([str(ANSIBLE), str(CHECKOUT / "playbooks" / "image.yml"), "-e", given], env=env)
    return folder / "live" / "asl.squashfs"
