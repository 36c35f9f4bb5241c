# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the picture of a report that README.md shows, docs/images/report.png: the page as it is now, with the sample fleet of the tests.

    docs/site/picture.py
"""

from __future__ import annotations

import datetime
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

CHECKOUT = Path(__file__).resolve().parents[2]
TARGET = CHECKOUT / "docs" / "images" / "report.png"
UTILS = "ansible_collections.asl.rescue.plugins.plugin_utils"
AT = datetime.datetime(2026, 11, 25, 3, 12, tzinfo=datetime.timezone.utc)


def page() -> str:
    """The page for twenty hosts."""
    sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / "playbooks" / "collections")]
    samples = importlib.import_module("unit.plugins.samples")
    document = importlib.import_module(f"{UTILS}._report_document").fleet(samples.fleet(20), AT)
    return str(importlib.import_module(f"{UTILS}._report_page").render(document))


def main() -> None:
    """The fleet, and the upper part of the details of a host with losses."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1180, "height": 1850})
        view.goto(file.as_uri())
        view.evaluate("name => aslReport.show(name)", "store04.example.com")
        view.evaluate("scrollTo(0, 0)")
        view.screenshot(path=str(TARGET))
        browser.close()


if __name__ == "__main__":
    main()
