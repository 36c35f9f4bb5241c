# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host keys: learned when the fingerprint is the one from the console, never by themselves, and only in their own file."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

KeyPair = tuple[Any, str]


def room() -> Any:
    return importlib.import_module("ansible_collections.asl.rescue.plugins.plugin_utils._host_keys")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[KeyPair]:
    """Two keys as ssh-keygen makes them, each with the fingerprint that it prints."""
    folder = tmp_path_factory.mktemp("keys")
    found = []
    for name in ("old", "new"):
        path = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        printed = subprocess.run(["ssh-keygen", "-lf", str(path)], capture_output=True, text=True, check=True).stdout.split()[1]
        (key,) = room().parse(f"host {path.with_suffix('.pub').read_text()}")
        found.append((key, printed))
    return found


def test_a_fingerprint_is_the_one_that_a_console_shows(keys: list[KeyPair]) -> None:
    assert [key.fingerprint for key, _printed in keys] == [printed for _key, printed in keys]


def test_what_is_known_is_not_learned_again(keys: list[KeyPair]) -> None:
    (old, _), (new, _) = keys
    assert room().decide([old, new], [old], None, False, "h") == []
    assert room().decide([old], [old], old.fingerprint, False, "h") == []


def test_a_new_key_is_learned_by_its_fingerprint_and_no_other(keys: list[KeyPair]) -> None:
    (old, _), (new, printed) = keys
    assert room().decide([new], [old], printed, False, "h") == [new]
    assert room().decide([old, new], [], printed, False, "h") == [new]


@pytest.mark.parametrize(
    ("known", "wanted", "reason"),
    [
        ([], None, "HOST_KEY_UNKNOWN"),
        ([0], None, "HOST_KEY_CHANGED"),
        ([0], 0, "HOST_KEY_WRONG"),
        ([], 0, "HOST_KEY_WRONG"),
    ],
)
def test_anything_else_is_refused(keys: list[KeyPair], known: list[int], wanted: int | None, reason: str) -> None:
    (_, old), (new, _) = keys
    arguments = ([new], [keys[number][0] for number in known], old if wanted == 0 else None)
    with pytest.raises(room().HostKeyError) as refused:
        room().decide(*arguments, False, "web07")
    assert refused.value.reason == reason
    assert new.fingerprint in str(refused.value) and "web07" in str(refused.value)
    if wanted is None:
        assert room().decide(*arguments, True, "web07") == [new]
    else:
        with pytest.raises(room().HostKeyError):
            room().decide(*arguments, True, "web07")


def test_a_machine_that_booted_again_is_learned_anew_and_others_stay(keys: list[KeyPair], tmp_path: Path) -> None:
    (old, _), (new, _) = keys
    path = tmp_path / "ssh" / "known_hosts.rescue"
    room().learn(path, "192.0.2.7", [old])
    room().learn(path, "[192.0.2.8]:2222", [old])
    # As ssh itself may have written it, with hashed names.
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    room().learn(path, "192.0.2.7", [new])
    assert room().known_to(path, "192.0.2.7") == [new]
    assert room().known_to(path, "[192.0.2.8]:2222") == [old]
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "text", ["", "# host:22 SSH-2.0-OpenSSH_9.2p1\n", "host ssh-ed25519\n", "host ssh-ed25519 ***\n", "@revoked * ssh-ed25519 AAAA\n"]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert room().parse(text) == []
