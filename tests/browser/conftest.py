"""A headless Chromium for the tests of a file. Without it, or without Playwright, they are skipped and say why."""

import os
import shutil

import pytest

NAMES = "chromium", "chromium-browser", "google-chrome"


@pytest.fixture(scope="module")
def browser():
    """Playwright runs an event loop until this ends: with each file, before tests of others run loops of their own."""
    driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install '.[test]'")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Return a function that opens a file. At the end, no page has complained or asked any host for anything."""
    contexts, complaints, requests = [], [], []

    def open_file(path, fragment="", *, width=1280, height=900, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
