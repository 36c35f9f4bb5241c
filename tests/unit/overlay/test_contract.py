# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract: what the parser takes is what YAML says, and the overlay and the contract name the same files."""

from __future__ import annotations

import pytest
from unit.overlay.support import CHECKOUT

from asl.errors import Unsupported, Usage
from asl.overlay import bundle, contract

TEXT = (CHECKOUT / "overlay" / "overlay.yml").read_text(encoding="utf-8")
ENTRY = '  - {path: /etc/asl, type: directory, kind: config, owner: root, group: root, mode: "0755"}'
WHOLE = f"---\ncontract: 1\nentries:\n{ENTRY}\n"


def test_the_parser_reads_what_yaml_reads() -> None:
    # The oldest and newest Pythons try the engine without any package of the control node.
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed for this Python: the parser was not held against it")
    document = yaml.safe_load(TEXT)
    expected = [
        contract.Entry(**{**entry, "mode": int(entry["mode"], 8)})
        for entry in sorted(document["entries"], key=lambda each: str(each["path"]))
    ]
    assert document["contract"] == contract.VERSION
    assert list(contract.parse(TEXT).entries) == expected


def test_every_path_of_the_overlay_schema_is_named() -> None:
    paths = {entry.path for entry in contract.parse(TEXT).entries}
    assert paths >= {
        *(f"/usr/local/bin/asl-{tool}" for tool in ("intake", "admin", "debug")),
        "/usr/local/lib/libasl.so",
        *(f"/etc/asl/{name}.conf" for name in ("asl", "federation", "logging")),
        *(f"/etc/systemd/system/asl-{name}.service" for name in ("intake", "preflight")),
        *(f"/var/lib/asl/{name}" for name in ("runtime", "cache", "locks")),
        "/run/asl/sockets",
        "/mnt/asl/local",
        "/mnt/asl/remote",
    }


def test_nothing_but_state_and_mounts_is_left_for_the_tools_to_write() -> None:
    for entry in contract.parse(TEXT).entries:
        writable = entry.path.startswith(("/var/lib/asl", "/run/asl", "/mnt/asl"))
        assert writable == (entry.kind in ("state", "mount")), entry.path


def test_the_overlay_holds_the_files_of_the_contract_and_no_others() -> None:
    found = bundle.collect(CHECKOUT / "overlay", CHECKOUT / "native" / "build")
    named = {f"root{entry.path}" for entry in found.contract.entries if entry.type == "file" and not entry.optional}
    engine = {path for path in found.files if path.startswith("root/usr/local/lib/asl/")}
    others = {path for path in found.files if path.startswith("root/")} - engine
    assert others == named
    assert all(path.endswith(".py") for path in engine)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("path: /etc/asl", "path: etc/asl", "absolute"),
        ("path: /etc/asl", "path: /etc/../asl", "normal path"),
        ("path: /etc/asl", "path: /etc/asl/", "normal path"),
        ("path: /etc/asl", "path: /a, path: /b", "given twice"),
        ("type: directory", "type: folder", "none of file, directory, tree"),
        ("kind: config", "kind: secret", "none of tool"),
        ("owner: root", "owner: 'root'", "key: value"),
        ("owner: root, ", "", "no 'owner'"),
        ("group: root", "group: Root!", "key: value"),
        ('"0755"', '"755"', "octal"),
        ('"0755"', '"0855"', "octal"),
        ('mode: "0755"', 'mode: "0755", ', "comma"),
        ('mode: "0755"', 'mode: "0755", colour: red', "key: value"),
        ('mode: "0755"', 'mode: "0755", optional: maybe', "none of true, false"),
        ("  - {", "- {", "not a line"),
        ("entries:", "entries: []", "not a line"),
        (ENTRY, "", "at least one entry"),
        (ENTRY, f"{ENTRY}\n{ENTRY}", "named twice"),
        ("contract: 1\n", "", "contract: 1"),
    ],
)
def test_what_is_not_of_the_subset_is_refused(old: str, new: str, said: str) -> None:
    assert contract.parse(WHOLE).entries
    with pytest.raises(Usage, match=said) as caught:
        contract.parse(WHOLE.replace(old, new, 1))
    assert caught.value.reason == "CONTRACT_INVALID"
    assert "overlay.yml" in caught.value.message


def test_a_later_version_is_refused() -> None:
    with pytest.raises(Unsupported, match="contract: 2"):
        contract.parse(WHOLE.replace("contract: 1", "contract: 2"))


def test_an_entry_is_found_for_itself_and_for_what_lies_in_a_tree() -> None:
    found = contract.parse(TEXT)
    assert found.entry_for("/usr/local/lib/asl/overlay/contract.py").path == "/usr/local/lib/asl"
    assert found.entry_for("/etc/asl").is_directory
    with pytest.raises(Usage, match="not in the overlay contract"):
        found.entry_for("/usr/local/lib/aslx")
    with pytest.raises(Usage, match="not in the overlay contract"):
        found.entry_for("/etc/asl/secret.conf")
