"""Quiet event streams behind a proxy that cuts what is silent, as pages and programs see them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from tests.patience import PATIENCE
from tests.system.nginx import running_nginx
from tests.system.running import REPOSITORY, running_dialback
from tests.system.test_demo_page import CHROMIUM_ARGUMENTS
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.fault(59)

IDLE = 3
"""Seconds of silence that the proxy stands: fifteen times the heartbeat, so a gateway that is held up for two is not cut."""

QUIET = 4.5
"""Seconds of the function's silence."""

ROUTES = """
[[routes]]
path = "/"
target = "local:tests/system/functions/events.py:quiet"
sse_heartbeat = 0.2

[[routes]]
path = "/silent"
target = "local:tests/system/functions/events.py:quiet"
sse_heartbeat = 0

[[routes]]
path = "/page"
target = "local:tests/system/functions/events.py:page"
"""

LISTEN = """(path) => new Promise((resolve) => {
  const seen = [];
  const source = new EventSource(path);
  source.onopen = () => seen.push("open");
  source.onmessage = (event) => seen.push(event.data);
  source.addEventListener("last", (event) => { seen.push(event.data); source.close(); resolve(seen); });
  source.onerror = () => { seen.push("error"); source.close(); resolve(seen); };
})"""


@dataclass(frozen=True)
class Urls:
    gateway: str
    proxy: str


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    directory = tmp_path_factory.mktemp("quiet")
    file = directory / "dialback.toml"
    file.write_text(ROUTES.replace("local:", f"local:{REPOSITORY}/"))
    with (
        running_dialback("--config", file, command="serve") as dialback,
        running_nginx(directory, dialback.url, f"proxy_read_timeout {IDLE}s") as proxy,
    ):
        yield Urls(dialback.url, proxy)


def curl(url: str) -> subprocess.CompletedProcess[bytes]:
    argv = [
        require_program("curl"),
        "--silent",
        "--no-buffer",
        "--max-time",
        f"{PATIENCE:.0f}",
        url,
    ]
    return subprocess.run(argv, capture_output=True, check=False)


def test_a_quiet_stream_survives_a_proxy_that_cuts_silence(urls: Urls) -> None:
    done = curl(f"{urls.proxy}/?seconds={QUIET}")
    assert done.returncode == 0
    assert done.stdout.replace(b":\n\n", b"") == b"data: first\n\nevent: last\ndata: second\n\n"
    assert done.stdout.count(b":\n\n") >= 3  # before the first event, and between them


def test_without_the_comments_the_proxy_cuts_it(urls: Urls) -> None:
    done = curl(f"{urls.proxy}/silent?seconds={QUIET}")
    assert (done.returncode, done.stdout) != (0, b"data: first\n\nevent: last\ndata: second\n\n")
    assert b"second" not in done.stdout


@pytest.mark.browser
def test_an_event_source_sees_the_events_and_nothing_of_the_comments(urls: Urls) -> None:
    chromium = require_program("chromium", "chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_ARGUMENTS, headless=True
        )
        page = browser.new_page()
        for url, seconds in ((urls.gateway, 0.5), (urls.proxy, QUIET)):
            page.goto(f"{url}/page")
            assert page.evaluate(LISTEN, f"/?seconds={seconds}") == ["open", "first", "second"]
        assert "error" in page.evaluate(LISTEN, f"/silent?seconds={QUIET}")
        browser.close()
