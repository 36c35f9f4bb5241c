# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report in a real browser: no error, no request, by keyboard, for everybody, on paper, with a thousand hosts."""

from __future__ import annotations

import datetime
import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from integration.support import CHECKOUT
from playwright.sync_api import Browser, Page, expect, sync_playwright
from unit.plugins import samples

sys.path.insert(0, str(CHECKOUT / "playbooks" / "collections"))
UTILS = "ansible_collections.asl.rescue.plugins.plugin_utils"
AT = datetime.datetime(2026, 11, 25, 3, 12, tzinfo=datetime.timezone.utc)
LOSSY = "store04.example.com"

Open = Callable[..., Page]


def write(folder: Path, count: int) -> Path:
    """The page for so many hosts."""
    document, page = importlib.import_module(f"{UTILS}._report_document"), importlib.import_module(f"{UTILS}._report_page")
    target = folder / f"report-{count}.html"
    importlib.import_module(f"{UTILS}._report").replace(target, page.render(document.fleet(samples.fleet(count), AT)))
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "chromium is not installed; run 'make setup' first"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the page for COUNT hosts. What it says to the console, and every request but the one for itself, fails the test."""
    said: list[str] = []
    pages: list[Page] = []

    def opened(count: int, **options: Any) -> Page:
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(f"asks for {request.url}") if len(pages) > 0 else pages.append(page))
        page.goto(write(tmp_path, count).as_uri())
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []


def visible(page: Page) -> int:
    return page.locator("tr.host:visible").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 420])
def test_it_has_no_fault_that_shuts_anybody_out(visit: Open, scheme: str, width: int) -> None:
    page = visit(20, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("name => aslReport.show(name)", LOSSY)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"][:200]) for each in found] == []


def test_a_thousand_hosts_open_filter_and_sort(visit: Open) -> None:
    page = visit(1000)
    assert visible(page) == 1000
    opened = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"1,000 hosts: loaded after {opened:.0f} ms")
    page.get_by_label("Filter").fill("mail no_store")
    expect(page.locator("#shown")).to_have_text("20 of 1000")
    assert visible(page) == 20
    page.get_by_label("Filter").fill("there is none like this")
    expect(page.get_by_text("No host is like that.")).to_be_visible()
    page.get_by_label("Filter").fill("")
    for state in ("rescued", "rescued_with_losses", "unreachable", "running"):
        page.locator(f"input[value={state}]").uncheck()
    assert visible(page) == page.locator(".badge.failed:visible").count() == 77


def test_sorting_puts_the_largest_first_and_hosts_without_a_figure_last(visit: Open) -> None:
    page = visit(60)
    unread = page.get_by_role("button", name="Unread")
    unread.click()
    rows = page.locator("tr.host")
    assert page.locator("th[data-key=bytes_unread]").get_attribute("aria-sort") == "descending"
    assert rows.first.locator("td").nth(4).inner_text().endswith("GiB")
    assert rows.last.locator("td").nth(4).inner_text() == ""
    unread.click()
    assert page.locator("th[data-key=bytes_unread]").get_attribute("aria-sort") == "ascending"
    assert rows.first.locator("td").nth(4).inner_text() == "0 B"
    assert rows.last.locator("td").nth(4).inner_text() == ""
    page.get_by_role("button", name="Host").click()
    assert rows.first.locator("th").inner_text() == "db02.example.com"


def test_by_keyboard_alone(visit: Open) -> None:
    page = visit(20)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the hosts")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Filter")).to_be_focused()
    page.keyboard.type("store04")
    expect(page.locator("#shown")).to_have_text("1 of 20")
    row = page.get_by_role("button", name=LOSSY)
    row.focus()
    page.keyboard.press("Enter")
    assert row.get_attribute("aria-expanded") == "true"
    expect(page.get_by_text("asl-admin restore 4 --store /mnt/asl/local --to /srv/restored")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("tr.detail")).to_be_hidden()


def test_the_details_of_a_host_say_everything_and_what_comes_from_a_disk_stays_text(visit: Open) -> None:
    page = visit(20)
    page.locator(".needs a", has_text=LOSSY).click()
    detail = page.locator("tr.detail")
    said = ("device:/dev/sda", "journal not replayed", "/home/ada/mail/<b>inbox</b>", "every digest as it was", "STORE_READY", "SMART")
    for text in said:
        expect(detail.get_by_text(text).first).to_be_visible()
    assert detail.locator("b, script").count() == 0
    drawn = detail.locator("svg.map rect.u").count()
    data = "JSON.parse(document.getElementById('data').textContent)"
    assert drawn == page.evaluate(f"{data}.hosts[3].sources[0].map.cells.match(/u+/g).length")
    assert "unread in" in (detail.locator("svg.map").get_attribute("aria-label") or "")


def test_what_was_not_tried_is_told_from_what_could_not_be_read(visit: Open) -> None:
    page = visit(20)
    page.locator(".needs a", has_text="web17.example.com").click()
    drawn = page.locator("tr.detail svg.map").first
    assert "not tried in 9 of 512 parts" in (drawn.get_attribute("aria-label") or "")
    expect(page.locator("tr.detail").get_by_text("not tried, 2 % of the map")).to_be_visible()


def test_paper_gets_the_details_and_no_buttons(visit: Open) -> None:
    page = visit(20)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("tr.detail:visible").count() == 20
    assert page.locator("#tools:visible, #theme:visible").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("tr.detail:visible").count() == 0


def test_without_script_the_table_is_there_and_says_where_the_rest_is(visit: Open) -> None:
    page = visit(20, java_script_enabled=False)
    assert visible(page) == 20
    expect(page.get_by_text("Filter, sort and details need JavaScript")).to_be_visible()
