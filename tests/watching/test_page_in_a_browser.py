"""The live page in a real browser."""

import shutil

import pytest
from made_runs import write_staircase

from slingshot_analysis import read_log
from slingshot_analysis.watching import LivePage, Watcher

BROWSER = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium is installed"),
    pytest.mark.usefixtures("without_pauses"),
]


@pytest.fixture
def browser_page():
    """Give a page of a headless browser, and what went wrong in it: console errors, and requests to other hosts."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page, wrong = browser.new_page(), []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if not _is_here(request.url) else None)
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        yield page, wrong
        browser.close()


def _is_here(url):
    return url.startswith(("http://127.0.0.1:", "data:"))


def test_it_shows_rows_written_after_it_was_opened(browser_page, growing_log):
    page, wrong = browser_page
    path, grow = growing_log
    grow(5_000)
    watcher, live = Watcher(path, read_log, steps=10_000), LivePage()
    watcher.look()
    live.publish(watcher.states)
    page.goto(live.url)
    page.wait_for_selector("text=4,990 of 10,000 steps")
    assert page.locator("line.slingshot").count() == 0
    grow(10_000)
    watcher.look()
    live.publish(watcher.states)
    page.wait_for_selector("text=9,990 of 10,000 steps")
    assert page.locator("li", has_text="1 slingshot so far, at 6,000").is_visible()
    assert page.locator("line.slingshot").count() == 2
    label = page.locator("svg[role=img]").nth(1).get_attribute("aria-label")
    assert label.startswith("train loss from step 0 to 9,990, now ")
    live.finish()
    page.wait_for_selector("text=every run has ended")
    live.close()
    assert wrong == []


def test_a_hostile_name_stays_text(browser_page, tmp_path):
    page, wrong = browser_page
    path = write_staircase(tmp_path / "<img src=x onerror=alert(1)>.h5")
    watcher, live = Watcher(path, read_log), LivePage()
    watcher.look()
    live.publish(watcher.states)
    page.goto(live.url)
    page.wait_for_selector("article")
    assert page.locator("h2").inner_text() == "<img src=x onerror=alert(1)>"
    assert page.locator("img").count() == 0
    live.close()
    assert wrong == []
