"""The page of ``slingshot report``, in a browser: zoom, events, curves, runs, colours, keys, accessibility."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import write_staircase

from slingshot_analysis import analyze, open_trace
from slingshot_analysis.report.page import KeepRun, write_report

EVIL = "<script>alert(1)</script>"
AXE = Path(__file__).with_name("axe") / "axe.min.js"
FIGURE = "article.run:not([hidden]) .figure"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page about three runs: one slingshot at 6,000; none; one at 4,000."""
    folder = tmp_path_factory.mktemp("report")
    traces = [
        open_trace(write_staircase(folder / f"run{number}.h5", at, attributes={"seed": number}))
        for number, at in enumerate((6000, None, 4000), start=1)
    ]
    analyses = [analyze(trace) for trace in traces]
    kept = [KeepRun(200)(trace, analysis) for trace, analysis in zip(traces, analyses, strict=True)]
    analyses[1] = replace(analyses[1], name=EVIL)
    return write_report(folder / "report.html", analyses, kept, columns=200)


def view(page):
    """Return the first and the last step that the figure shows, once it has drawn them."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return tuple(map(float, page.locator(FIGURE).get_attribute("data-view").split()))


def width(page):
    low, high = view(page)
    return high - low


def test_it_opens_the_first_run_with_slingshots_whole(report, open_page):
    page = open_page(report)
    assert page.locator("article.run:visible").count() == 1
    assert view(page) == (0, 9990)
    assert page.locator(f"{FIGURE} canvas").count() == page.locator(f"{FIGURE} .panel").count() == 4
    assert "2 with slingshots" in page.locator("h1").inner_text()


def test_dragging_the_wheel_and_the_buttons_zoom(report, open_page):
    page = open_page(report)
    plot = page.locator(f"{FIGURE} .u-over").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], middle, steps=3)
    page.mouse.up()
    low, high = view(page)
    assert (low, high) == (pytest.approx(4995, abs=60), pytest.approx(6993, abs=60))
    page.mouse.wheel(0, -400)
    assert width(page) < 0.7 * (high - low)
    page.get_by_role("button", name="Zoom out").locator("visible=true").click()
    page.get_by_role("button", name="Show the whole run").locator("visible=true").click()
    assert view(page) == (0, 9990)


def test_two_fingers_zoom_and_keep_the_steps_under_them(report, open_page):
    page = open_page(report)
    plot = page.locator(f"{FIGURE} .u-over").first
    fingers = """(plot, moves) => {
      const { left, width } = plot.getBoundingClientRect();
      for (const [kind, pointerId, share] of moves) {
        const clientX = left + share * width;
        plot.dispatchEvent(new PointerEvent(kind, { pointerType: "touch", pointerId, clientX, bubbles: true }));
      }
    }"""
    plot.evaluate(fingers, [["pointerdown", 1, 0.4], ["pointermove", 1, 0.3]])
    assert view(page) == (0, 9990)  # one finger alone does nothing
    plot.evaluate(fingers, [["pointermove", 1, 0.4], ["pointerdown", 2, 0.6]])
    plot.evaluate(fingers, [["pointermove", 1, 0.2], ["pointermove", 2, 0.8], ["pointerup", 1, 0.2]])
    low, high = view(page)
    assert (low, high) == (pytest.approx(9990 / 3, abs=30), pytest.approx(2 * 9990 / 3, abs=30))
    plot.evaluate(fingers, [["pointermove", 2, 0.9]])
    assert view(page) == (low, high)


def test_the_wheel_scrolls_the_page_until_the_figure_is_chosen(report, open_page):
    page = open_page(report)
    page.locator(f"{FIGURE} .u-over").first.hover()
    page.mouse.wheel(0, 300)
    assert view(page) == (0, 9990)


def test_a_row_of_the_table_zooms_to_its_event_and_its_flag_leads_back(report, open_page):
    page = open_page(report)
    row = page.locator("article.run:not([hidden]) tr[data-event]", has_text="Slingshot")
    number = int(row.get_attribute("data-event")) + 1
    row.get_by_role("link").click()
    low, high = view(page)
    assert low < 6000 < high
    assert high - low <= 2 * 64 * 10
    assert page.evaluate("() => document.activeElement.classList.contains('figure')")
    page.get_by_role("button", name="Show the whole run").locator("visible=true").click()
    page.get_by_role("button", name=f"Event {number}: Slingshot at 6,000").click()
    assert page.evaluate("() => document.activeElement.dataset.eventLink") == str(number - 1)
    assert "chosen" in row.get_attribute("class")


def test_a_single_update_around_an_event_is_in_the_figure(report, open_page):
    page = open_page(report)
    steps = page.evaluate("() => figures.get(1).finest")
    assert set(range(5900, 6100, 10)) <= set(steps)


def test_keys_do_everything(report, open_page):
    page = open_page(report)
    page.locator(FIGURE).focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert width(page) == pytest.approx(9990 / 4)
    before = view(page)
    page.keyboard.press("ArrowRight")
    assert view(page)[0] > before[0]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("-")
    page.keyboard.press("Home")
    assert view(page) == (0, 9990)
    page.keyboard.press("n")
    first = view(page)
    page.keyboard.press("n")
    assert view(page) != first
    page.keyboard.press("p")
    assert view(page) == first
    page.keyboard.press("Escape")
    assert view(page) == (0, 9990)
    for _ in range(6):  # the five buttons of the figure, then the flag of its first event
        page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.dataset.event") == "0"


def test_a_label_hides_its_curve_and_shows_it_again(report, open_page):
    page = open_page(report)
    label = page.get_by_role("button", name="norm", exact=True).locator("visible=true")
    shown = "() => figures.get(1).panels[0].plot.series[1].show"
    assert page.evaluate(shown)
    label.click()
    assert label.get_attribute("aria-pressed") == "false"
    assert not page.evaluate(shown)
    label.click()
    assert page.evaluate(shown)


def test_values_at_the_pointer_stand_beside_the_labels(report, open_page):
    page = open_page(report)
    page.locator(f"{FIGURE} .u-over").first.hover()
    assert page.locator(f"{FIGURE} .pointer").inner_text().startswith("at ")
    assert page.locator(f"{FIGURE} .value").first.inner_text() != ""


def test_the_table_of_runs_filters_sorts_and_opens(report, open_page):
    page = open_page(report)
    rows = page.locator("table.runs tbody tr:visible")
    page.get_by_label("Filter").fill("slingshots")
    assert rows.count() == 2
    assert page.locator("#filter-status").inner_text() == "2 of 3 runs"
    page.get_by_label("Filter").fill("")
    page.get_by_role("button", name="First transition").click()
    assert rows.nth(0).inner_text().startswith("run3")
    page.get_by_role("button", name="First transition").click()
    assert rows.nth(0).inner_text().startswith("run1")
    assert rows.nth(2).inner_text().startswith(EVIL)  # without a transition
    rows.nth(1).get_by_role("link").click()
    assert page.locator("article.run:visible").get_attribute("id") == "run-3"
    assert view(page) == (0, 9990)


def test_an_address_opens_its_run(report, open_page):
    page = open_page(report, "#run-2")
    assert page.locator("article.run:visible").get_attribute("id") == "run-2"


def test_light_and_dark(report, open_page):
    page = open_page(report, scheme="dark")
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Light").click()
    light = page.evaluate(background)
    assert dark != light
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(background) == dark


def test_names_stay_text(report, open_page):
    page = open_page(report, "#run-2")
    assert EVIL in page.locator("article.run:visible h2").inner_text()
    assert page.locator("main script").count() == 0


def test_only_the_script_of_the_page_may_run(report, browser):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(report.as_uri())
        image = "<img src=data:, onerror='window.hit = 1'>"
        with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            page.evaluate("(image) => document.body.insertAdjacentHTML('beforeend', image)", image)
        assert page.evaluate("() => window.hit") is None


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (380, "light")])
def test_axe_finds_nothing_serious(report, open_page, width, scheme):
    page = open_page(report, width=width, scheme=scheme)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [
        (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_narrow_window_has_no_sideways_scroll(report, open_page):
    page = open_page(report, width=380)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 380


def test_it_prints_in_light_colours(report, open_page):
    page = open_page(report, scheme="dark")
    page.evaluate(
        "() => addEventListener('beforeprint', () => (window.printed = document.documentElement.dataset.theme))"
    )
    assert len(page.pdf()) > 20_000
    assert page.evaluate("() => window.printed") == "light"
    assert page.locator("html").get_attribute("data-theme") == "dark"
