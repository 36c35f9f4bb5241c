# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact: built, installed into an empty folder, and used from there by Molecule on crashed hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from integration.support import CHECKOUT

TOOLS = Path(sys.executable).parent


def run(argv: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTEST_"))}
    env = {**plain, "PATH": f"{TOOLS}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **environment}
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of collections that holds nothing but the artifact of this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    built = run(["ansible-galaxy", "collection", "build", "--output-path", str(folder)], CHECKOUT)
    assert built.returncode == 0, built.stderr
    (artifact,) = folder.glob("asl-rescue-*.tar.gz")
    done = run(["ansible-galaxy", "collection", "install", "--offline", "-p", str(folder), str(artifact)], folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_brings_the_overlay_and_both_libraries_and_no_tests(installed: Path) -> None:
    root = installed / "ansible_collections" / "asl" / "rescue"
    assert (root / "overlay" / "overlay.yml").is_file()
    libraries = sorted(path.parent.name for path in root.rglob("libasl.so"))
    assert {"aarch64", "x86_64"} <= set(libraries)
    unwanted = [name for name in ("tests", "molecule", "demo", ".venv", ".cache", ".ci", ".git") if (root / name).exists()]
    assert unwanted == []


def test_a_galaxy_would_import_it_without_a_warning(installed: Path, tmp_path: Path) -> None:
    (artifact,) = installed.glob("asl-rescue-*.tar.gz")
    importer = [sys.executable, "-m", "galaxy_importer.main", str(artifact)]
    done = run(importer, tmp_path, HOME=str(tmp_path), GALAXY_IMPORTER_RUN_FLAKE8="true")
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "processing completed successfully" in said, said
    assert re.findall(r"(?i).*(?:warning|error|skipp|not found).*", said) == []
    assert "ansible-lint run complete" in said


def test_an_execution_environment_gets_what_the_control_node_needs(installed: Path) -> None:
    done = run(["ansible-builder", "introspect", "--sanitize", str(installed)], installed)
    assert done.returncode == 0, done.stderr
    found = yaml.safe_load(done.stdout)
    needed = {part: {re.split("[ >=]", line)[0] for line in found[part]} for part in ("python", "system")}
    assert needed == {"python": {"jinja2"}, "system": {"openssh-client", "openssh-clients", "squashfs-tools"}}
    # What is named by its package here is what make test installs, and a program of the collection's is in it.
    missing = run(["bindep", "-b", "-f", str(installed / "ansible_collections/asl/rescue/meta/ee-bindep.txt")], installed)
    assert (missing.returncode, missing.stdout.strip()) == (0, ""), missing.stdout


def test_its_playbooks_and_modules_are_found_by_name(installed: Path) -> None:
    collections = {"ANSIBLE_COLLECTIONS_PATH": str(installed)}
    for playbook in ("rescue", "restore"):
        syntax = run(["ansible-playbook", f"asl.rescue.{playbook}", "--syntax-check", "-i", "host,"], installed, **collections)
        assert syntax.returncode == 0, syntax.stderr
    modules = ["asl.rescue.asl_overlay", "asl.rescue.asl_preflight", "asl.rescue.asl_ingest", "asl.rescue.asl_restore"]
    docs = run(["ansible-doc", "-t", "module", *modules], installed, **collections)
    assert docs.returncode == 0, docs.stderr
    assert all(name.rsplit(".", 1)[1].upper() in docs.stdout.upper() for name in modules)


@pytest.mark.root
@pytest.mark.parametrize("scenario", ["default", "remote", "fleet"])
def test_molecule(installed: Path, scenario: str) -> None:
    rig = [sys.executable, "-B", "tests/rig/run", "--project", "molecule"]
    try:
        done = run(
            [*rig, "inside", "--", "molecule", "test", "--scenario-name", scenario],
            CHECKOUT,
            MOLECULE_GLOB="molecule/*/molecule.yml",
            ASL_COLLECTIONS=str(installed),
        )
    finally:
        run([*rig, "down"], CHECKOUT)
    log = CHECKOUT / ".cache" / f"molecule-{scenario}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(done.stdout + done.stderr)
    print(next((line for line in reversed(done.stdout.splitlines()) if " passed" in line or " failed" in line), "no test of a host ran"))
    assert done.returncode == 0, f"(the whole of it: {log})\n{done.stdout[-8000:]}{done.stderr[-3000:]}"
