"""Event streams that break off, as pages in a real browser see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from tests.certificates import write_certificate
from tests.system.running import running_dialback
from tests.system.test_demo_page import CHROMIUM_ARGUMENTS
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.fault(40)]

FUNCTIONS = "tests/system/functions/events.py"
NAMES = ("page", "between", "midway", "whole")

LISTEN = """(path) => new Promise((resolve) => {
  const seen = [];
  const source = new EventSource(path);
  source.onmessage = (event) => seen.push(["message", event.data]);
  source.addEventListener("error", (event) => {
    seen.push(["error", event.data ?? null]);
    if (event.data === undefined) { source.close(); resolve(seen); }
  });
})"""

READ = """async (path) => {
  const reader = (await fetch(path)).body.getReader();
  let text = "";
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return {text, end: "clean"};
      text += new TextDecoder().decode(value);
    }
  } catch (error) {
    return {text, end: "broken"};
  }
}"""


@pytest.fixture(scope="module", params=["http", "https"])
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    chromium = require_program("chromium", "chromium-browser")
    routes = [f"--route=/{name}={FUNCTIONS}:{name}" for name in NAMES]
    env = {}
    if request.param == "https":
        folder = tmp_path_factory.mktemp("tls")
        write_certificate(folder / "chain.pem", folder / "key.pem")
        env = {
            "DIALBACK_EDGE_CERTIFICATE": str(folder / "chain.pem"),
            "DIALBACK_EDGE_KEY": str(folder / "key.pem"),
        }
    with running_dialback(*routes, env=env) as dialback, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_ARGUMENTS, headless=True
        )
        opened = browser.new_page(ignore_https_errors=True)
        opened.goto(f"{dialback.url.replace('http:', f'{request.param}:')}/page")
        yield opened
        browser.close()


def test_an_event_source_gets_the_reason_as_an_event_and_then_the_broken_connection(
    page: Page,
) -> None:
    first, told, broken = page.evaluate(LISTEN, "/between")
    assert first == ["message", "first"]
    assert told[0] == "error"
    assert json.loads(told[1])["error"] == "the function failed"
    assert "secret" not in told[1]
    assert broken == ["error", None]


def test_half_an_event_is_never_dispatched(page: Page) -> None:
    seen: list[Any] = page.evaluate(LISTEN, "/midway")
    assert [one for one in seen if one[0] == "message"] in ([["message", "first"]], [])
    assert seen[-1] == ["error", None]
    assert len([one for one in seen if one[0] == "error"]) == 1


def test_fetch_sees_the_event_and_a_broken_end(page: Page) -> None:
    told = page.evaluate(READ, "/between")
    assert told["end"] == "broken"
    assert "data: first\n\nevent: error\ndata: {" in told["text"]
    assert page.evaluate(READ, "/midway")["end"] == "broken"
    assert page.evaluate(READ, "/whole") == {"text": "data: first\n\n", "end": "clean"}
