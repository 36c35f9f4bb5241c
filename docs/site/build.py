# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the site: the pages of docs/, and one for every module, role and callback, made by antsibull-docs from what they say themselves.

    docs/site/build.py [FOLDER]        # .cache/site; the site is FOLDER/html/index.html

A warning of either tool is an error, and an unknown reference is one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SETTINGS = Path(__file__).resolve().parent
TOOLS = Path(sys.executable).parent
INDEX = """\
# asl.rescue

{about}

```{{toctree}}
:caption: Pages
:maxdepth: 1

{pages}
```

```{{toctree}}
:caption: Modules, roles, callback
:maxdepth: 1

reference/index
```
"""
# In the order in which they are met: what it is, then what to do on a bad day, then what explains it.
FIRST = ("readme", "runbook", "troubleshooting", "sources", "zfs", "remote", "images", "scale", "performance", "security", "architecture")
TITLES = {"readme": "What it is, and the first rescue"}


def pages(source: Path) -> None:
    """README.md, the pages of docs/ as they are, and an index of them. Raises SystemExit for an order that names no page."""
    found = sorted(path.stem for path in (CHECKOUT / "docs").glob("*.md"))
    for name in found:
        shutil.copy2(CHECKOUT / "docs" / f"{name}.md", source)
    (source / "readme.md").write_text(re.sub(r"\[([^\]]*)\]\(([^)]+)\)", moved, (CHECKOUT / "README.md").read_text()))
    found.append("readme")
    if not set(FIRST) <= set(found):
        sys.exit(f"{__file__}: FIRST names {', '.join(sorted(set(FIRST) - set(found)))}, and there is no such page")
    shutil.copytree(CHECKOUT / "docs" / "images", source / "images")
    shutil.copy2(CHECKOUT / "docs" / "report.schema.json", source)
    ordered = [*FIRST, *(name for name in found if name not in FIRST)]
    about = (CHECKOUT / "README.md").read_text().split("\n\n")[1]
    (source / "index.md").write_text(INDEX.format(about=about, pages="\n".join(map(entry, ordered))))


def entry(name: str) -> str:
    """The line of a page in the index."""
    return f"{TITLES[name]} <{name}>" if name in TITLES else name


def moved(link: re.Match[str]) -> str:
    """A link of README.md where it has become a page beside the others; to what is no page, its words alone."""
    text, target = link.groups()
    if "://" in target or target.startswith("#"):
        return link.group()
    return f"[{text}]({target.removeprefix('docs/')})" if target.startswith("docs/") else text


def reference(folder: Path, source: Path) -> None:
    """A page for every module, role and callback."""
    target = source / "reference"
    target.mkdir(mode=0o755)
    # The link of the checkout to itself, as the playbooks find it.
    env = environment(folder, ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / "playbooks" / "collections"))
    words = ["--config-file", str(SETTINGS / "antsibull-docs.cfg"), "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
    argv = [str(TOOLS / "antsibull-docs"), *words, "--dest-dir", str(target), "asl.rescue"]
    subprocess.run(argv, env=env, cwd=folder, check=True, stdin=subprocess.DEVNULL)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What the tools are to know: nothing is written to the home of the user."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {**plain, "HOME": str(folder / "home"), "PATH": f"{TOOLS}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", **more}


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else CHECKOUT / ".cache" / "site").absolute()
    source = folder / "source"
    for old in (source, folder / "html"):
        shutil.rmtree(old, ignore_errors=True)
    (folder / "home").mkdir(parents=True, exist_ok=True)
    source.mkdir()
    pages(source)
    reference(folder, source)
    words = ["-b", "html", "-E", "-n", "-W", "--keep-going", "-q", "-c", str(SETTINGS), "-d", str(folder / "doctrees")]
    argv = [str(TOOLS / "sphinx-build"), *words, str(source), str(folder / "html")]
    return subprocess.run(argv, env=environment(folder), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
