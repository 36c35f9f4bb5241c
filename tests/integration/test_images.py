# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""image.yml: rescue media with the overlay in them, the same bits every time, and settings that SystemRescue can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from integration.support import CHECKOUT

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


def image(folder: Path, *options: str, code: int = 0, **variables: Any) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "ASL_"))}
    env = {**plain, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1700000000"}
    given = json.dumps({"asl_image_dir": str(folder), **variables})
    done = subprocess.run(
        [str(ANSIBLE), "playbooks/image.yml", "-e", given, *options],
        cwd=CHECKOUT, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_check_run_run_and_once_more_elsewhere(tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"image_authorized_keys": {"rescue@control": "ssh-ed25519 AAAA rescue"}, "image_url": "https://boot.example.com/asl.srm"}
    said = image(tmp_path / "one", "--check", **wanted)
    assert "changed     localhost" in said and not (tmp_path / "one").exists()
    assert "changed     localhost" in image(tmp_path / "one", **wanted)
    assert "ok          localhost" in image(tmp_path / "one", **wanted)
    image(tmp_path / "other", **wanted)
    assert tree(tmp_path / "one") == tree(tmp_path / "other")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / "one", check=True)
    medium = yaml.safe_load((tmp_path / "one/sysrescue/iso/sysrescue.d/600-asl.yaml").read_text())
    network = yaml.safe_load((tmp_path / "one/sysrescue/pxe/asl.yaml").read_text())
    assert medium["global"] == {"loadsrm": True, "nofirewall": True}
    assert network["global"] == {"late_load_srm": "https://boot.example.com/asl.srm", "nofirewall": True}
    assert medium["sysconfig"] == network["sysconfig"] == {"authorized_keys": wanted["image_authorized_keys"]}


def test_the_squashfs_holds_what_the_tar_holds(tmp_path: Path) -> None:
    image(tmp_path / "made", asl_conf={"mode": "local", "domain.id": "site-a"})
    made = tmp_path / "made"
    for name, argv in {
        "tar": ["tar", "-xpf", str(made / "overlay/asl-overlay-x86_64.tar"), "-C", str(tmp_path / "tar")],
        "srm": ["unsquashfs", "-q", "-n", "-f", "-d", str(tmp_path / "srm"), str(made / "sysrescue/iso/sysresccd/asl.srm")],
    }.items():
        (tmp_path / name).mkdir()
        subprocess.run(argv, check=True, capture_output=True)
    assert tree(tmp_path / "tar") == tree(tmp_path / "srm")
    conf = (tmp_path / "srm/etc/asl/asl.conf").read_text()
    assert "\nmode = local\n" in conf and "\ndomain.id = site-a\n" in conf
    tool = str(tmp_path / "srm/usr/local/bin/asl-intake")
    assert subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.startswith("asl-intake ")


def test_a_setting_that_the_engine_does_not_know_stops_it_before_anything_is_written(tmp_path: Path) -> None:
    said = image(tmp_path / "made", code=2, asl_conf={"no.such.key": 1})
    assert "[CONFIG_INVALID]" in said
    assert not (tmp_path / "made").exists()
