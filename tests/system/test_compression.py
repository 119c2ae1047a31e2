"""Real clients on a route that compresses: curl, httpx, aiohttp, a browser, and nginx in front."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.patience import PATIENCE
from tests.system.functions.packed import LINE, LINES
from tests.system.nginx import running_nginx
from tests.system.running import REPOSITORY, Dialback, running_dialback
from tests.system.test_demo_page import CHROMIUM_ARGUMENTS
from tests.system.test_real_clients import curl
from tests.system_packages import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHOLE = LINE * LINES

ROUTES = """
[[routes]]
path = "/steps"
target = "local:{file}:stepwise"
compress = true
env = {{ STEPS = "{steps}" }}

[[routes]]
path = "/breaks"
target = "local:{file}:breaks"
compress = true
env = {{ STEPS = "{steps}" }}

[[routes]]
path = "/unaware"
target = "local:{file}:unaware"
compress = true

[[routes]]
path = "/app"
target = "local:{file}:application"
compress = true

[[routes]]
path = "/starlette"
target = "local:{tags}:starlette_handler"
compress = true

[[routes]]
path = "/flask"
target = "local:{tags}:flask_handler"
compress = true

[[routes]]
path = "/by-hand"
target = "local:{tags}:by_hand"
compress = true
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compression")


@pytest.fixture(scope="module")
def dialback(directory: Path) -> Iterator[Dialback]:
    file = directory / "dialback.toml"
    functions = REPOSITORY / "tests/system/functions"
    packed, tags = functions / "packed.py", functions / "web/web_tags.py"
    file.write_text(ROUTES.format(file=packed, tags=tags, steps=directory))
    with running_dialback("--config", file, command="serve") as dialback:
        yield dialback


@pytest.fixture
def step(directory: Path) -> Iterator[Path]:
    """Where the files go that let a function write on; empty at the beginning."""
    yield directory
    for name in ("1", "2", "3", "break"):
        (directory / name).unlink(missing_ok=True)


@pytest.fixture(scope="module", params=["direct", "nginx"])
def url(dialback: Dialback, directory: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "direct":
        yield dialback.url
        return
    with running_nginx(directory, dialback.url, "proxy_buffering off") as proxy:
        yield proxy


@pytest.mark.parametrize("path", ["/unaware", "/app"])
def test_curl_decodes_what_it_asked_for_in_gzip(url: str, path: str) -> None:
    done = curl("--compressed", "--dump-header", "-", url + path)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert (done.returncode, body) == (0, WHOLE)
    assert b"content-encoding: gzip" in head.lower()
    assert curl(url + path).stdout == WHOLE, "and who did not ask gets it as it is"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/starlette/web_tags.py", 304), ("/flask/text", 304), ("/by-hand", 200)],
)
async def test_a_weak_tag_revalidates_with_who_compares_as_he_should(
    url: str, path: str, status: int
) -> None:
    """RFC 9110 section 13.1.2: If-None-Match is compared weakly. Who does not sends the whole again."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        whole = await client.get(path)
        tag = whole.headers["etag"]
        assert (whole.headers["content-encoding"], tag[:3]) == ("gzip", 'W/"')
        again = await client.get(path, headers={"if-none-match": tag})
        assert (again.status_code, again.headers["etag"]) == (status, tag)
        assert again.text == (whole.text if status == 200 else "")


def test_curl_says_that_a_broken_body_is_broken(url: str, step: Path) -> None:
    (step / "break").touch()
    done = curl("--compressed", url + "/breaks")
    assert done.returncode in {18, 56}, "18: the transfer ended early; 56: the connection was reset"


async def test_aiohttp_and_httpx_decode_it(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/app") as response:
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["etag"] == 'W/"1"'
        assert await response.read() == WHOLE
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.get(f"{url}/unaware")
        assert (answer.headers["content-encoding"], answer.content) == ("gzip", WHOLE)


def test_httpx_has_each_line_before_the_next_is_written(url: str, step: Path) -> None:
    with httpx.stream("GET", f"{url}/steps/lines", timeout=PATIENCE) as response:
        assert response.headers["content-encoding"] == "gzip"
        (step / "1").touch()
        for number, line in enumerate(response.iter_lines(), start=1):
            assert line == f"line {number}"
            (step / str(number + 1)).touch()
        assert number == 3
    (step / "4").unlink()


def test_a_reader_that_stops_in_between_sees_that_it_is_not_whole(
    dialback: Dialback, step: Path
) -> None:
    with httpx.stream("GET", f"{dialback.url}/breaks", timeout=PATIENCE) as response:
        seen = b""
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            for piece in response.iter_bytes():
                seen += piece
                if seen == WHOLE:
                    (step / "break").touch()
    assert seen == WHOLE


READ = """async (path) => {
  const answer = await fetch(path), lines = [];
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return [answer.headers.get("content-encoding"), lines.join("")];
    lines.push(value);
    await window.seen(value);
  }
}"""

LISTEN = """(path) => new Promise((resolve) => {
  const seen = [], source = new EventSource(path);
  source.onmessage = (event) => { seen.push(event.data); window.seen(event.data); };
  source.addEventListener("last", () => { source.close(); resolve(seen); });
  source.onerror = () => { source.close(); resolve(["error", ...seen]); };
})"""


def test_a_browser_reads_and_listens_as_it_comes(url: str, step: Path) -> None:
    chromium = require_program("chromium", "chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_ARGUMENTS, headless=True
        )
        page = browser.new_page()
        # What the page has seen lets the function write on.
        page.expose_function("seen", lambda text: (step / str(int(text.split()[-1]) + 1)).touch())
        page.goto(f"{url}/unaware")
        assert page.inner_text("body").startswith("All work")
        (step / "1").touch()
        assert page.evaluate(READ, "/steps/lines") == ["gzip", "line 1\nline 2\nline 3\n"]
        for name in "234":
            (step / name).unlink()
        assert page.evaluate(LISTEN, "/steps/events") == ["1", "2", "3"]
        (step / "4").unlink()
        browser.close()


def test_a_program_that_knows_nothing_of_us_can_unpack_it(dialback: Dialback) -> None:
    packed = curl("--header", "Accept-Encoding: gzip", f"{dialback.url}/app").stdout
    assert packed[:2] == b"\x1f\x8b"
    done = subprocess.run(
        [require_program("gzip"), "-dc"], input=packed, capture_output=True, check=True
    )
    assert done.stdout == WHOLE
