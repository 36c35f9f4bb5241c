# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-test would download to put pip into an empty virtual environment, from what Python itself brings along.

ansible-test runs it with the options and packages of ``pip install``, and --no-setuptools and --no-wheel, which pip does not know.
"""

from __future__ import annotations

import ensurepip
import runpy
import sys
from pathlib import Path

# Debian keeps the wheels apart from the module.
FOLDERS = [Path(ensurepip.__file__).with_name("_bundled"), Path("/usr/share/python-wheels")]


def main() -> None:
    wheels = [wheel for folder in FOLDERS for wheel in sorted(folder.glob("pip-*.whl"))]
    if not wheels:
        sys.exit(f"no wheel of pip lies in {' or '.join(map(str, FOLDERS))}; install python3-venv")
    sys.path.insert(0, str(wheels[-1]))
    sys.argv[1:] = ["install", *(word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel"))]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
