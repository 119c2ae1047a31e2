"""The demo page in a real browser: what a newcomer sees after `make demo`.

The picture in the README is taken here too, when asked for:

    UPDATE_SCREENSHOT=1 python -m pytest tests/system/test_demo_page.py -k picture
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.system.running import REPOSITORY, Dialback, free_port, running
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

RUN = REPOSITORY / "deploy/examples/demo/run.py"
PICTURE = REPOSITORY / "docs/images/demo.png"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
INTERVAL = 0.02
"""Seconds from word to word: the whole answer takes about 2.5 s."""

STEPS = 10
"""Of about 110 words, that arrive one by one on the busiest machine; buffered, they are one step."""

RECORD = """
  const recorded = window.recorded = {samples: [], streaming: false, animations: 0};
  const look = (panel) => ({
    state: panel.dataset.state,
    length: panel.querySelector("[data-field=text]").textContent.length,
    ticks: panel.querySelectorAll("[data-field=lane] i").length,
  });
  new MutationObserver(() => {
    const [buffered, streamed] = ["buffered", "streamed"].map((id) => document.getElementById(id));
    if (!buffered || !streamed) return;
    recorded.samples.push({buffered: look(buffered), streamed: look(streamed)});
    const row = "#exchanges tr[data-state=streaming]";
    const rows = [...document.querySelectorAll(row)].map((found) => found.textContent);
    recorded.streaming ||= rows.some((text) => text.includes("/streamed"));
    recorded.animations = Math.max(recorded.animations, document.getAnimations().length);
  }).observe(document, {subtree: true, childList: true, attributeFilter: ["data-state"]});
"""
"""Begins with the page: the race does not wait until somebody looks."""

OVER = """() => ["buffered", "streamed"].every(
  (id) => ["complete", "failed"].includes(document.getElementById(id).dataset.state)
)"""

Sample = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = require_program("chromium", "chromium-browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_ARGUMENTS, headless=True
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[Dialback]:
    yield from run_demo(INTERVAL)


def run_demo(interval: float) -> Iterator[Dialback]:
    port, callback, admin = free_port(), free_port(), free_port()
    ports = [f"--port={port}", f"--callback-port={callback}", f"--admin-port={admin}"]
    with running(sys.executable, RUN, *ports, f"--interval={interval}", ready="Open") as process:
        assert f"Open http://127.0.0.1:{port}/" in process.stdout
        yield Dialback(
            process=process,
            url=f"http://127.0.0.1:{port}",
            callback_port=callback,
            admin_url=f"http://127.0.0.1:{admin}",
        )


@pytest.fixture(params=[1280, 400], ids=["desktop", "telephone"])
def page(browser: Browser, demo: Dialback, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page just opened; it may report no error, and ask nobody else for anything."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    opened.add_init_script(RECORD)
    complaints: list[str] = []
    hosts: set[str] = set()
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda line: complaints.extend([line.text] * (line.type == "error")))
    opened.on("request", lambda asked: hosts.add(urlsplit(asked.url).netloc))
    opened.goto(demo.url, wait_until="domcontentloaded")
    yield opened
    opened.close()
    assert not complaints
    known = {urlsplit(demo.url).netloc, urlsplit(demo.admin_url).netloc, ""}
    assert hosts <= known


def first_byte_ms(page: Page, panel: str) -> float:
    number = float(page.inner_text(f"#{panel} [data-field=ttfb]"))
    return number * (1000 if page.inner_text(f"#{panel} [data-field=unit]") == "s" else 1)


def test_chunks_arrive_one_by_one(page: Page, demo: Dialback) -> None:
    frames = demo.metric("dialback_data_frames_total", route="/streamed")
    page.wait_for_function(OVER)
    samples: list[Sample] = page.evaluate("recorded.samples")

    end = samples[-1]
    assert end["streamed"]["state"] == end["buffered"]["state"] == "complete"
    assert end["streamed"]["length"] == end["buffered"]["length"] > 500
    early = [s for s in samples if s["streamed"]["state"] == "arriving"]
    assert len({s["streamed"]["length"] for s in early}) > STEPS, "the text grew in small steps"
    lengths = {s["buffered"]["length"] for s in samples}
    assert lengths == {0, end["buffered"]["length"]}, "the buffered text came in one jump"
    assert end["buffered"]["ticks"] == 1
    assert end["streamed"]["ticks"] > STEPS
    assert demo.metric("dialback_data_frames_total", route="/streamed") - frames > STEPS
    assert demo.metric("dialback_data_frames_total", route="/buffered") == 0


def test_first_byte_of_the_streamed_answer_is_much_sooner(page: Page) -> None:
    page.wait_for_function(OVER)  # the first race may meet a cold start
    page.click("#run")
    page.wait_for_function(OVER)
    # A quiet machine makes it some hundred times; held up for a second, it is two times all the same.
    assert first_byte_ms(page, "streamed") * 2 < first_byte_ms(page, "buffered")
    page.wait_for_selector("#verdict:has-text('times sooner')")


def test_live_list_shows_the_stream_and_its_end(page: Page) -> None:
    page.wait_for_function("() => recorded.streaming")
    page.wait_for_function(OVER)
    row = "#exchanges tr:has-text('/streamed')"
    page.wait_for_selector(f"{row}[data-state=streaming]", state="detached")


def test_event_source_receives_ten_events_and_hangs_up(page: Page, demo: Dialback) -> None:
    page.wait_for_selector("#sse[data-state=complete]")
    assert page.locator("#sse [data-on]").count() == 10
    assert "ten events were sent" in page.inner_text("#sse [data-field=log]")
    assert demo.metric("dialback_data_frames_total", route="/events") >= 10
    assert page.is_enabled("#listen")


def test_nothing_is_wider_than_the_window(page: Page) -> None:
    page.wait_for_function(OVER)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_page_holds_still_when_asked_to(
    browser: Browser, demo: Dialback, motion: Literal["reduce", "no-preference"]
) -> None:
    page = browser.new_page(reduced_motion=motion)
    page.add_init_script(RECORD)
    page.goto(demo.url, wait_until="domcontentloaded")
    page.wait_for_function(OVER)
    assert page.locator("#streamed[data-state=complete]").count() == 1
    assert (page.evaluate("recorded.animations") == 0) == (motion == "reduce")
    page.close()


def test_picture_for_the_readme(browser: Browser, tmp_path: Path) -> None:
    target = PICTURE if os.environ.get("UPDATE_SCREENSHOT") else tmp_path / PICTURE.name
    for demo in run_demo(0.05):
        page = browser.new_page(viewport={"width": 1280, "height": 1340}, color_scheme="light")
        page.goto(demo.url)
        page.wait_for_function(OVER)
        page.click("#run")  # warm, as every request but the first
        # A machine that is busy reads several words at a time, and never makes so many marks of them.
        far = "#streamed .lane i:nth-of-type(70), #streamed[data-state=complete]"
        page.wait_for_selector(far, state="attached")
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target)
        page.close()
    assert target.stat().st_size > 50_000


@pytest.mark.parametrize("flag", ["--port", "--callback-port", "--admin-port"])
def test_port_in_use_is_named(flag: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = {f: free_port() for f in ("--port", "--callback-port", "--admin-port")}
        arguments = [f"{f}={p}" for f, p in (ports | {flag: port}).items()]
        done = subprocess.run(
            [sys.executable, RUN, *arguments], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert f"Port {port} is in use" in done.stderr
    assert flag in done.stderr
