"""Event streams that break off, as pages in a real browser see them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.certificates import write_certificate
from tests.faults.proxy import running_proxy
from tests.system.running import running_dialback
from tests.system.test_demo_page import CHROMIUM_ARGUMENTS
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tests.faults.proxy import Proxy

pytestmark = [pytest.mark.browser, pytest.mark.fault(40)]

FUNCTIONS = "tests/system/functions/events.py"
NAMES = ("page", "between", "midway", "whole")

LISTEN = """(path) => new Promise((resolve) => {
  const seen = [];
  const source = new EventSource(path);
  source.onmessage = (event) => seen.push(["message", event.data]);
  source.addEventListener("error", (event) => {
    seen.push(["error", event.data ?? null]);
    if (event.data === undefined) { source.close(); resolve(seen); } else { window.told(); }
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
      if (text.includes("event: error\\ndata: {")) window.told();
    }
  } catch (error) {
    return {text, end: "broken"};
  }
}"""


@dataclass(frozen=True)
class Reader:
    """A page that has come by a proxy, which lets the gateway's end of a connection through when it is told to.

    Chromium drops what it has not read yet once it sees a broken end, however long before that it came.
    """

    page: Page
    proxy: Proxy

    def evaluate(self, script: str, path: str) -> Any:
        """Run a script, which sees a broken end as soon as there is one."""
        self.proxy.hold_end(held=False)
        return self.page.evaluate(script, path)

    def evaluate_told(self, script: str, path: str) -> Any:
        """Run a script, which sees a broken end once it has seen what came before: then it calls `told`."""
        self.proxy.hold_end()
        return self.page.evaluate(script, path)


@pytest.fixture(scope="module", params=["http", "https"])
def reader(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
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
    with (
        running_dialback(*routes, env=env) as dialback,
        running_proxy(("127.0.0.1", urlsplit(dialback.url).port or 0)) as proxy,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_ARGUMENTS, headless=True
        )
        opened = browser.new_page(ignore_https_errors=True)
        opened.expose_function("told", lambda: proxy.hold_end(held=False))
        opened.goto(f"{request.param}://127.0.0.1:{proxy.port}/page")
        yield Reader(opened, proxy)
        browser.close()


def test_an_event_source_gets_the_reason_as_an_event_and_then_the_broken_connection(
    reader: Reader,
) -> None:
    first, told, broken = reader.evaluate_told(LISTEN, "/between")
    assert first == ["message", "first"]
    assert told[0] == "error"
    assert json.loads(told[1])["error"] == "the function failed"
    assert "secret" not in told[1]
    assert broken == ["error", None]


def test_half_an_event_is_never_dispatched(reader: Reader) -> None:
    seen: list[Any] = reader.evaluate(LISTEN, "/midway")
    assert [one for one in seen if one[0] == "message"] in ([["message", "first"]], [])
    assert seen[-1] == ["error", None]
    assert len([one for one in seen if one[0] == "error"]) == 1


def test_fetch_sees_the_event_and_a_broken_end(reader: Reader) -> None:
    told = reader.evaluate_told(READ, "/between")
    assert told["end"] == "broken"
    assert "data: first\n\nevent: error\ndata: {" in told["text"]
    assert reader.evaluate(READ, "/midway")["end"] == "broken"
    assert reader.evaluate(READ, "/whole") == {"text": "data: first\n\n", "end": "clean"}
