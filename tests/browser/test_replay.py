"""The recorder in a real browser: what it sends, what it masks, when it is silent, how it plays."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.serving_pages import serving_pages
from tests.system.running_stack import ROOT, RunningStack, wait_until

TRACKING = ROOT / "tracking"
pytestmark = pytest.mark.skipif(
    (TRACKING / "node_modules" / ".absent").exists(), reason="no Node here: CI has one"
)
META, PICTURE, CUSTOM = 4, 2, 5
TYPED = ("Quentin", "pa55word", "my diagnosis", "edited by hand", "Surgery", "illness7")
SHOWN = ("Balance", "Jane", "four thousand", "Account statement", "maiden", "Unwell", "Press here")
NEVER = ("Never leaves", "Nor does", "hunter2", "Weather")


FLOOD = """async () => {
  const list = document.createElement("ul");
  for (let n = 0; n < 12000; n++) list.append(document.createElement("li"));
  document.body.append(list);
  const begun = performance.now();
  await new Promise((resolve) => setTimeout(resolve));
  const tookMs = performance.now() - begun;
  list.remove();
  return tookMs;
}"""


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The plugin as it is built for a page."""
    built = tmp_path_factory.mktemp("plugin") / "replay.js"
    subprocess.run(
        [
            "node_modules/.bin/esbuild", "plugins/replay.ts", "--bundle", "--minify",
            "--format=esm", "--target=es2020", f"--outfile={built}", "--log-level=error",
        ],
        cwd=TRACKING,
        check=True,
    )  # fmt: skip
    return built.read_text()


@pytest.fixture(scope="module")
def stack(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One for each engine: their sessions have the same names."""
    stack = RunningStack(
        tmp_path_factory.mktemp("stack") / "data", settings={"EXPORT_INTERVAL": "1h"}
    )
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def pages(stack: RunningStack) -> Iterator[str]:
    with serving_pages(stack.url) as url:
        yield url


@pytest.fixture
def page(browser: Browser, plugin: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page()

    def serve(route: Route) -> None:
        route.fulfill(body=plugin, content_type="text/javascript")

    page.route("**/replay-plugin.js", serve)
    yield page
    if not page.is_closed():
        assert page.evaluate("window.failures") is None
        page.close()


def visit(page: Page, pages: str, session: str, **options: str) -> None:
    query = "&".join(f"{k}={v}" for k, v in {"session": session, **options}.items())
    page.goto(f"{pages}/recorded.html?{query}")
    page.wait_for_function("window.ready")


def fill_in(page: Page) -> None:
    page.fill("#name", "Quentin")
    page.fill("#password", "pa55word")
    page.type("#message", "my diagnosis")
    page.click("#editor")
    page.keyboard.type("edited by hand")
    page.select_option("#topic", "Surgery appointment")
    page.check("#choice")


def chunks_of(stack: RunningStack, session: str) -> list[dict[str, Any]]:
    """What a session has in the buffer, chunk by chunk, in order."""
    return [json.loads(line) for line in lines_in_buffer(stack, session)]


def lines_in_buffer(stack: RunningStack, session: str) -> list[str]:
    socket = stack.data / "postgres" / "socket"
    with psycopg.connect(f"postgresql://sluice@/sluice?host={socket}") as connection:
        rows = connection.execute(
            "SELECT body FROM recording_chunks WHERE session_id = %s"
            " ORDER BY recording_id, sequence",
            (session,),
        ).fetchall()
    return [gzip.decompress(row[0]).decode() for row in rows]


def events_of(stack: RunningStack, session: str) -> list[dict[str, Any]]:
    return [event for chunk in chunks_of(stack, session) for event in chunk["events"]]


def has_recorded(stack: RunningStack, session: str, text: str) -> bool:
    return any(text in line for line in lines_in_buffer(stack, session))


def test_a_page_is_recorded_masked_and_delivered_and_played_back(
    stack: RunningStack, pages: str, page: Page, browser: Browser
) -> None:
    visit(page, pages, "s-whole", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-whole"), seconds=60, what="the first chunk")
    fill_in(page)
    page.click("#button")
    before = len(events_of(stack, "s-whole"))
    wait_until(lambda: len(events_of(stack, "s-whole")) > before, seconds=60, what="what was typed")
    page.close()
    events = events_of(stack, "s-whole")
    assert [e["type"] for e in events[:2]] == [META, PICTURE]
    assert "token=&tab=1" in json.dumps(events)

    stack.post("/export/run", {})
    wait_until(lambda: stack.get("/recordings/count")["delivered"], seconds=60, what="a delivery")
    (delivered,) = stack.bucket("client").glob("replay/**/session_id=s-whole/*.ndjson.gz")
    text = gzip.decompress(delivered.read_bytes()).decode()
    for secret in (*TYPED, *SHOWN, *NEVER):
        assert secret not in text, secret
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["sequence"] for line in lines] == list(range(len(lines)))
    assert {line["visitorId"] for line in lines} == {"v-browser"}
    assert "rgb(1, 2, 3)" in text, "a style sheet is no text"

    player = browser.new_page()
    errors: list[str] = []
    player.on("pageerror", lambda error: errors.append(str(error)))
    player.goto(f"{stack.url}/replay.html")
    player.get_by_role("button", name="recorded.example").first.click()
    frame = player.frame_locator("#stage iframe")
    frame.locator("h1.card").wait_for()
    assert frame.locator("h1.card").inner_text() == "******** **** ******** ******"
    color = frame.locator("h1.card").evaluate("h1 => getComputedStyle(h1).color")
    assert (color, errors) == ("rgb(1, 2, 3)", [])
    player.close()


def test_text_that_is_shown_is_recorded_and_what_was_typed_is_not(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-shown", replaySample="1", replayText="shown")
    fill_in(page)
    wait_until(lambda: has_recorded(stack, "s-shown", "Balance"), seconds=60, what="the picture")
    page.click("#button")
    before = len(events_of(stack, "s-shown"))
    wait_until(lambda: len(events_of(stack, "s-shown")) > before, seconds=60, what="the rest")
    text = json.dumps(events_of(stack, "s-shown"))
    assert "Account statement" in text
    for secret in ("Quentin", "pa55word", "my diagnosis", "edited", "Never leaves", "hunter2"):
        assert secret not in text, secret


def test_nothing_is_recorded_unless_asked(stack: RunningStack, pages: str, page: Page) -> None:
    visit(page, pages, "s-off")
    page.click("#button")
    page.wait_for_timeout(7_000)
    assert chunks_of(stack, "s-off") == []
    page.evaluate("dispatchEvent(new CustomEvent('sluice:replay', {detail: 'start'}))")
    wait_until(lambda: chunks_of(stack, "s-off"), seconds=60, what="a recording asked for")
    page.evaluate("dispatchEvent(new CustomEvent('sluice:replay', {detail: 'stop'}))")
    page.wait_for_timeout(1_000)
    before = len(events_of(stack, "s-off"))
    page.click("#button")
    page.wait_for_timeout(7_000)
    assert len(events_of(stack, "s-off")) == before


def test_before_consent_nothing_is_recorded_and_after_a_no_nothing_more(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-consent", replaySample="1", pending="1")
    page.evaluate("document.body.append('before consent')")
    page.wait_for_timeout(7_000)
    assert chunks_of(stack, "s-consent") == []
    page.evaluate("grant()")
    wait_until(lambda: chunks_of(stack, "s-consent"), seconds=60, what="a chunk after the grant")
    page.evaluate("document.body.append('x'); deny()")
    before = len(events_of(stack, "s-consent"))
    page.click("#button")
    page.wait_for_timeout(7_000)
    assert len(events_of(stack, "s-consent")) == before
    recordings = {chunk["recordingId"] for chunk in chunks_of(stack, "s-consent")}
    page.evaluate("deny(); grant()")

    def another() -> list[dict[str, Any]]:
        chunks = chunks_of(stack, "s-consent")
        return [chunk for chunk in chunks if chunk["recordingId"] not in recordings]

    wait_until(another, seconds=60, what="a recording of its own after another yes")
    assert [event["type"] for event in another()[0]["events"][:2]] == [META, PICTURE]


def test_a_session_is_sent_once_it_is_interesting_with_what_came_before(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-kept", replaySample="1", replayInteresting="checkout_failed,error")
    # It begins when the page is idle, and nothing tells that it has.
    page.evaluate("new Promise((begun) => requestIdleCallback(() => setTimeout(begun, 500)))")
    page.click("#button")
    page.wait_for_timeout(7_000)
    assert chunks_of(stack, "s-kept") == []
    page.evaluate("sluice.track('checkout_failed')")
    wait_until(lambda: chunks_of(stack, "s-kept"), seconds=60, what="what was held")
    events = events_of(stack, "s-kept")
    assert [e["type"] for e in events[:2]] == [META, PICTURE]
    assert [e for e in events if e["type"] == 3 and e["data"]["source"] == 2], "the click before"
    assert page.evaluate("tracked") == ["checkout_failed"]
    recordings = {c["recordingId"] for c in chunks_of(stack, "s-kept")}
    visit(page, pages, "s-kept", replaySample="1", replayInteresting="checkout_failed,error")
    wait_until(
        lambda: {c["recordingId"] for c in chunks_of(stack, "s-kept")} > recordings,
        seconds=60,
        what="the next page's recording",
    )


def test_what_waits_when_the_page_is_left_is_handed_over(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-left", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-left"), seconds=60, what="the first chunk")
    page.evaluate("document.body.setAttribute('class', 'last-thing')")
    page.wait_for_timeout(100)
    page.goto("about:blank")
    wait_until(lambda: has_recorded(stack, "s-left", "last-thing"), seconds=30, what="the end")


def test_a_visit_of_a_second_has_its_picture_however_large(
    stack: RunningStack, pages: str, page: Page
) -> None:
    """Larger than what a page that is left may hand over unpacked; left before the first cut."""
    page.add_init_script("""
      const every = window.setInterval;
      window.setInterval = (run, ms) => (ms === 5_000 ? 0 : every(run, ms));
      addEventListener("DOMContentLoaded", () => {
        for (let n = 0; n < 400; n++) {
          const paragraph = document.body.appendChild(document.createElement("p"));
          paragraph.setAttribute("style", "margin: 0; padding: 0; border: 0");
          paragraph.id = `paragraph-${n}`;
        }
      });
    """)
    with page.expect_request("**/track/replay"):
        visit(page, pages, "s-short", replaySample="1")
    page.goto("about:blank")
    wait_until(
        lambda: has_recorded(stack, "s-short", "paragraph-399"), seconds=30, what="the picture"
    )


def test_a_flood_of_nodes_is_not_recorded_and_the_page_is_pictured_anew(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-flood", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-flood"), seconds=60, what="the first chunk")
    page.evaluate(FLOOD)
    wait_until(lambda: has_recorded(stack, "s-flood", "sluice.paused"), seconds=60, what="a pause")
    events = events_of(stack, "s-flood")
    assert not [e for e in events if e["type"] == 3 and len(e["data"].get("adds", ())) > 10_000]
    pictures = [n for n, e in enumerate(events) if e["type"] == PICTURE]
    assert len(pictures) == 2, "after the pause the page is pictured anew"
    (told,) = [e["data"] for e in events if e["type"] == CUSTOM]
    assert told["payload"]["nodes"] > 10_000


def test_a_flood_before_the_recording_begins_makes_one_recording(
    stack: RunningStack, pages: str, page: Page
) -> None:
    page.add_init_script("""
      const own = () => Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
      const setter = own();
      window.isClean = () => own() === setter;
      window.idle = [];
      const whenIdle = window.requestIdleCallback;
      window.requestIdleCallback = (run) => idle.push(run);
      window.rest = () => {
        window.requestIdleCallback = whenIdle;
        idle.forEach((run) => run());
      };
    """)
    visit(page, pages, "s-early", replaySample="1")
    page.evaluate("idle.shift()()")  # the recording is there, and waits for a moment of its own
    page.evaluate(FLOOD)
    page.wait_for_function("idle.length === 2")
    page.evaluate("rest()")
    wait_until(lambda: chunks_of(stack, "s-early"), seconds=60, what="the recording")
    assert [e["type"] for e in events_of(stack, "s-early")].count(PICTURE) == 1
    page.evaluate("dispatchEvent(new CustomEvent('sluice:replay', {detail: 'stop'}))")
    page.wait_for_function("isClean()")


def test_another_session_is_another_recording(stack: RunningStack, pages: str, page: Page) -> None:
    visit(page, pages, "s-one", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-one"), seconds=60, what="the first session's")
    page.evaluate("rename('s-two')")
    page.click("#button")  # it asks whose session it is only when something happens
    wait_until(lambda: chunks_of(stack, "s-two"), seconds=60, what="the second session's")
    assert [e["type"] for e in events_of(stack, "s-two")[:2]] == [META, PICTURE]
    assert chunks_of(stack, "s-two")[0]["sequence"] == 0


def test_a_recording_waits_for_the_event_that_begins_its_session(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-before", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-before"), seconds=60, what="the first session's")
    page.evaluate("rename(undefined)")
    page.click("#button")
    page.wait_for_timeout(6_000)
    page.evaluate("document.body.setAttribute('class', 'unrecorded'); rename('s-begun')")
    wait_until(lambda: chunks_of(stack, "s-begun"), seconds=60, what="the next session's")
    assert [e["type"] for e in events_of(stack, "s-begun")[:2]] == [META, PICTURE]
    assert not has_recorded(stack, "s-before", "unrecorded")


def test_what_is_asked_for_before_a_session_begins_is_recorded_once_it_does(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-ended", replaySample="1e-9", replayInteresting="error")
    page.evaluate("new Promise((looked) => requestIdleCallback(() => setTimeout(looked, 500)))")
    page.evaluate("rename(undefined)")
    page.evaluate("dispatchEvent(new CustomEvent('sluice:replay', {detail: 'start'}))")
    page.evaluate("rename('s-started')")
    wait_until(lambda: chunks_of(stack, "s-started"), seconds=60, what="what was asked for")


def test_each_session_becomes_interesting_on_its_own(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-error", replaySample="1", replayInteresting="error", pending="1")
    page.evaluate("grant(); deny(); dispatchEvent(new Event('error')); grant()")
    page.wait_for_timeout(7_000)
    assert chunks_of(stack, "s-error") == [], "what happens under a no is forgotten"
    page.evaluate("dispatchEvent(new Event('error'))")
    wait_until(lambda: chunks_of(stack, "s-error"), seconds=60, what="the first session's")
    page.evaluate("rename('s-calm')")
    page.click("#button")
    page.wait_for_timeout(6_000)
    page.click("#button")
    page.wait_for_timeout(6_000)
    assert chunks_of(stack, "s-calm") == []
    page.evaluate("dispatchEvent(new Event('error'))")
    wait_until(lambda: chunks_of(stack, "s-calm"), seconds=60, what="the second session's")


def test_a_session_that_was_not_in_the_sample_may_be_followed_by_one_that_is_asked_for(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-unsampled", replayInteresting="error")
    page.evaluate("new Promise((looked) => requestIdleCallback(() => setTimeout(looked, 500)))")
    page.evaluate("rename('s-asked-for')")
    page.evaluate("dispatchEvent(new CustomEvent('sluice:replay', {detail: 'start'}))")
    wait_until(lambda: chunks_of(stack, "s-asked-for"), seconds=60, what="what was asked for")
    assert chunks_of(stack, "s-unsampled") == []


def test_after_a_reset_it_is_somebody_elses(stack: RunningStack, pages: str, page: Page) -> None:
    visit(page, pages, "s-signed-in", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-signed-in"), seconds=60, what="the first person's")
    page.evaluate("document.body.setAttribute('class', 'still-theirs')")
    page.evaluate("sluice.reset()")
    page.evaluate("document.body.setAttribute('class', 'the-next-ones')")
    wait_until(
        lambda: has_recorded(stack, "s-somebody-else", "the-next-ones"),
        seconds=60,
        what="the next person's",
    )
    assert has_recorded(stack, "s-signed-in", "still-theirs")
    assert not has_recorded(stack, "s-signed-in", "the-next-ones")


def test_where_nobody_is_nothing_is_recorded_and_no_session_kept_alive(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-alone", replaySample="1")
    wait_until(lambda: chunks_of(stack, "s-alone"), seconds=60, what="the first chunk")
    page.evaluate("""() => {
      const { identity } = host;
      window.asked = 0;
      host.identity = () => (asked++, identity());
      document.body.setAttribute("class", "ticking");
    }""")
    wait_until(lambda: has_recorded(stack, "s-alone", "ticking"), seconds=60, what="a tick")
    assert page.evaluate("asked") == 0
    page.evaluate("""() => {
      const now = Date.now;
      Date.now = () => now() + 3.6e6;
      document.body.setAttribute("class", "unseen");
      document.body.style.height = "9000px";
      scrollTo(0, 500);
      document.getElementById("button").click();
    }""")
    page.wait_for_timeout(6_000)
    assert not has_recorded(stack, "s-alone", "unseen")
    assert page.evaluate("asked") == 0
    page.keyboard.press("Tab")
    wait_until(lambda: has_recorded(stack, "s-alone", "unseen"), seconds=60, what="a new picture")
    assert [e["type"] for e in events_of(stack, "s-alone")].count(PICTURE) == 2
    page.evaluate("""() => {
      const now = Date.now;
      Date.now = () => now() + 3.6e6;
      rename("s-back");
    }""")
    page.click("#button")
    wait_until(lambda: chunks_of(stack, "s-back"), seconds=60, what="a session of its own")


def test_a_page_that_was_too_large_is_recorded_when_asked_again(
    stack: RunningStack, pages: str, page: Page
) -> None:
    visit(page, pages, "s-large")
    start = "dispatchEvent(new CustomEvent('sluice:replay', {detail: 'start'}))"
    page.evaluate(
        """start => {
      const list = document.createElement("ul");
      list.innerHTML = "<li>".repeat(51_000);
      document.body.append(list);
      eval(start);
    }""",
        start,
    )
    page.wait_for_timeout(3_000)
    page.evaluate("document.querySelector('ul').remove()")
    page.evaluate(start)
    wait_until(lambda: chunks_of(stack, "s-large"), seconds=60, what="a recording after all")


def test_an_outage_is_waited_out_and_every_chunk_is_stored_once(
    stack: RunningStack, pages: str, page: Page
) -> None:
    answered = []

    def fail_twice(route: Route) -> None:
        answered.append(1)
        if len(answered) == 1:
            route.abort()
        elif len(answered) == 2:
            route.fetch()  # stored, and the answer is lost
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/track/replay", fail_twice)
    visit(page, pages, "s-outage", replaySample="1")
    # Routes are answered only while Playwright is at work.
    wait_until(
        lambda: page.wait_for_timeout(200) or len(answered) > 2,
        seconds=60,
        what="the third attempt",
    )
    page.evaluate("document.body.setAttribute('class', 'afterwards')")
    wait_until(
        lambda: page.wait_for_timeout(200) or has_recorded(stack, "s-outage", "afterwards"),
        seconds=60,
        what="the next",
    )
    sequences = [c["sequence"] for c in chunks_of(stack, "s-outage")]
    assert sequences == list(range(len(sequences)))
