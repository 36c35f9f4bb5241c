# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity over what the collection's artifact holds, with nothing ignored and nothing skipped. Needs no container, and no
download but pip's.

    tests/sanity/run.py [--test NAME]…

A warning is a failure: it is how ansible-test says that it left a test out, for want of a program. Everything that ansible-test keeps
goes below .cache/sanity; nothing is written to the home of the user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from ansible_test._internal.python_requirements import get_venv_packages  # type: ignore[import-untyped]

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "sanity"
TOOLS = Path(sys.executable).parent
WARNING = "WARNING: "
# Debian has this locale without asking for it, and no test of the collection sorts or compares words of a language.
HARMLESS = ('Using locale "C.UTF-8" instead of "en_US.UTF-8".',)


class Running:
    """The Python this runs with, as ansible-test asks about it."""

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"


def copy(target: Path) -> None:
    """The files of the artifact at TARGET, a git repository of its own: ansible-test asks git what there is."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    ignored = list(yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["build_ignore"])
    shutil.rmtree(target, ignore_errors=True)
    for name in listed.split("\0")[:-1]:
        path = Path(name)
        parts = [path, *path.parents]
        source = CHECKOUT / path
        if source.exists() and not any(part.match(pattern) for part in parts[:-1] for pattern in ignored if not pattern.startswith("*/")):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / path, follow_symlinks=False)
    for argv in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(argv, cwd=target, check=True)


def watch(argv: list[str], cwd: Path, env: dict[str, str]) -> int:
    """Run ARGV, pass on what it says, and end with its status; with 1 when it was content but warned of something."""
    warnings: set[str] = set()
    with subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            print(line, end="", flush=True)
            said = line.removeprefix(WARNING).strip()
            if line.startswith(WARNING) and not said.startswith((*HARMLESS, "Reviewing previous ")):
                warnings.add(said)
    for each in sorted(warnings):
        print(f"sanity: not everything was tested: {each}", file=sys.stderr)
    return running.returncode or (1 if warnings else 0)


def main() -> int:
    target = CACHE / "ansible_collections" / "asl" / "rescue"
    copy(target)
    home = CACHE / "home"
    pip = get_venv_packages(Running)["pip"].replace(".", "_")
    kept = home / ".ansible" / "test" / "cache" / f"get_pip_{pip}.py"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(Path(__file__).with_name("get_pip.py"), kept)
    env = {**os.environ, "HOME": str(home), "PATH": f"{TOOLS}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    argv = ["ansible-test", "sanity", "--color", "no", "--python", Running.version, *sys.argv[1:]]
    return watch(argv, target, env)


if __name__ == "__main__":
    sys.exit(main())
