import json
import threading
import urllib.error
import urllib.request

import pytest
from made_runs import write_staircase

from slingshot_analysis import InputError, read_log
from slingshot_analysis.watching import LivePage, Watcher
from slingshot_analysis.watching.page import FOLDER

pytestmark = pytest.mark.usefixtures("without_pauses")


@pytest.fixture
def page():
    page = LivePage()
    yield page
    page.close()


def messages(stream):
    """Yield the name and the content of each server-sent event."""
    name = "message"
    for line in stream:
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)
            name = "message"


def states_of(path):
    watcher = Watcher(path, read_log)
    watcher.look()
    return watcher.states


def test_the_page_loads_nothing_from_elsewhere(page):
    for name in ("", "watch.js", "watch.css"):
        with urllib.request.urlopen(page.url + name) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// Shows", "")
    assert "innerHTML" not in (FOLDER / "watch.js").read_text()


def test_it_serves_this_machine_alone(page):
    assert page.url.startswith("http://127.0.0.1:")
    for url, host, status in ((page.url, "evil.example", 403), (page.url + "../../secret", None, 404)):
        request = urllib.request.Request(url, headers={"Host": host} if host else {})
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request)
        assert error.value.code == status
        error.value.close()


def test_an_open_page_gets_what_is_new(page, growing_log):
    path, grow = growing_log
    grow(5_000)
    watcher = Watcher(path, read_log)
    watcher.look()
    page.publish(watcher.states)
    with urllib.request.urlopen(page.url + "events") as stream:
        events = messages(stream)
        name, run = next(events)
        assert (name, run["run"], run["step"], run["slingshots"]) == ("message", "run", 4_990, [])
        assert [curve["name"] for curve in run["curves"]] == ["total norm", "train loss"]
        page.publish(watcher.states)  # the same again, which is not sent
        grow(10_000)
        watcher.look()
        page.publish(watcher.states)
        _, run = next(events)
        assert (run["step"], run["slingshots"]) == (9_990, [6_000])
        assert len(run["curves"][1]["step"]) == len(run["curves"][1]["high"]) > 100
        page.finish()
        assert next(events) == ("over", {})
        assert list(events) == []
    page.wait_until_seen()


def test_a_page_that_was_closed_stops_nothing(page, tmp_path):
    states = states_of(write_staircase(tmp_path / "a.h5"))
    threads = threading.active_count()
    urllib.request.urlopen(page.url + "events").close()
    page.publish(states)
    with urllib.request.urlopen(page.url + "events") as stream:
        assert next(messages(stream))[1]["run"] == "a"
    assert threading.active_count() <= threads + 2


def test_names_stay_text(page, tmp_path):
    page.publish(states_of(write_staircase(tmp_path / "<script>alert(1)<.h5")))
    page.finish()
    with urllib.request.urlopen(page.url + "events") as stream:
        assert next(messages(stream))[1]["run"] == "<script>alert(1)<"


def test_a_port_that_is_taken(page):
    with pytest.raises(InputError, match=r"^port=\d+: can't be used \(.*\); give another one, or none$"):
        LivePage(int(page.url.rstrip("/").rpartition(":")[2]))
