"""Web frameworks inside real functions, behind a real gateway; docs/frameworks.md promises it."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from protocol.limits import INLINE_REQUEST_MAX
from tests.patience import PATIENCE
from tests.system.running import Dialback, eventually, running_dialback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Eleven functions start at once, with a framework each: 8 s of CPU time, 40 on a machine that is five times slower.
START_SECONDS = 3 * PATIENCE
pytestmark = pytest.mark.timeout(START_SECONDS + 30)

WEB = "tests/system/functions/web"
FUNCTIONS = {
    "/fastapi": "web_fastapi.py:handler",
    "/starlette": "web_fastapi.py:starlette_handler",
    "/mangum": "web_fastapi.py:mangum_handler",
    "/mangum-streaming": "web_fastapi.py:mangum_streaming",
    "/django-asgi": "web_django.py:asgi_handler",
    "/django-wsgi": "web_django.py:wsgi_handler",
    "/flask": "web_flask.py:handler",
    "/powertools": "web_handlers.py:handler",
    "/powertools-streaming": "web_handlers.py:streaming_handler",
    "/powertools-url": "web_handlers.py:url_handler",
    "/powertools-url-streaming": "web_handlers.py:streaming_url_handler",
}
UPLOAD = random.Random(4).randbytes(9_000_001)
"""More than an event can carry."""

SHA256 = hashlib.sha256(UPLOAD).hexdigest()


@pytest.fixture(scope="module")
def dialback() -> Iterator[Dialback]:
    routes = [f"--route={path}={WEB}/{name}" for path, name in FUNCTIONS.items()]
    flags = ("--timeout=60", "--concurrency=2")  # and so long each may take to start
    with running_dialback(*routes, *flags, seconds=START_SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def client(dialback: Dialback) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=dialback.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("front", ["fastapi", "django-asgi", "django-wsgi", "flask"])
def test_a_stream_arrives_piece_by_piece(client: httpx.Client, front: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with client.stream("GET", f"/{front}/stream", params={"gate": str(gate)}) as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"first\n"
        gate.touch()
        assert list(pieces) == [b"second\n"]
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/fastapi/raw", "/flask/upload"])
@pytest.mark.parametrize("sized", [False, True])
def test_an_upload_of_any_size_arrives_whole(client: httpx.Client, path: str, sized: bool) -> None:
    body = UPLOAD if sized else iter([UPLOAD[:5], UPLOAD[5:]])
    assert client.post(path, content=body).json()["sha256"] == SHA256


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_file_in_a_form_arrives_whole(client: httpx.Client, kind: str) -> None:
    answer = client.post(f"/django-{kind}/upload", files={"file": ("a.bin", UPLOAD)})
    assert answer.json() == {"name": "a.bin", "sha256": SHA256}


@pytest.mark.parametrize("size", [5, len(UPLOAD)], ids=["inline", "over the callback"])
def test_a_file_and_a_field_in_a_form_of_fastapi(
    client: httpx.Client, dialback: Dialback, size: int
) -> None:
    attached = dialback.metric("dialback_attaches_total", result="accepted")
    answer = client.post(
        "/fastapi/form",
        data={"word": "hé"},
        files={"file": ("ü.bin", UPLOAD[:size], "application/x-odd")},
    )
    assert answer.json() == {
        "name": "ü.bin",
        "type": "application/x-odd",
        "sha256": hashlib.sha256(UPLOAD[:size]).hexdigest(),
        "word": "hé",
    }
    if size > INLINE_REQUEST_MAX:
        assert dialback.metric("dialback_attaches_total", result="accepted") > attached
    else:
        assert client.post("/fastapi/form", data={"word": "x"}).status_code == 422


def test_a_large_upload_is_not_one_piece(client: httpx.Client) -> None:
    assert client.post("/fastapi/raw", content=UPLOAD).json()["pieces"] > 10


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_form_and_cookies(client: httpx.Client, kind: str) -> None:
    answer = client.post(f"/django-{kind}/form", data={"word": "hé"})
    assert answer.text == "POST hé"
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]


# ---------------------------------------------------------------- FastAPI


def test_a_background_task_runs_on_behind_the_answer(
    client: httpx.Client, dialback: Dialback, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    answer = client.get("/fastapi/background", params={"gate": str(gate)})
    assert answer.json() == {"answer": "at once"}
    assert "background task done" not in dialback.stderr
    gate.touch()
    eventually(lambda: "background task done" in dialback.stderr)


def test_a_dependency_is_closed(client: httpx.Client, dialback: Dialback) -> None:
    assert client.get("/fastapi/sync/5").json() == {"number": 5, "held": "resource"}
    eventually(lambda: "dependency closed" in dialback.stderr)
    assert client.get("/fastapi/sync/x").status_code == 422


def test_an_http_exception_and_one_of_the_routes_own(
    client: httpx.Client, dialback: Dialback
) -> None:
    answer = client.get("/fastapi/teapot")
    assert (answer.status_code, answer.headers["x-pot"]) == (418, "tea")
    assert answer.json() == {"detail": "short and stout"}
    assert client.get("/fastapi/broken").status_code == 500
    eventually(lambda: "the route's own" in dialback.stderr)


def test_cookies_of_fastapi(client: httpx.Client) -> None:
    answer = client.get("/fastapi/cookies", headers={"cookie": "x=1; y=2"})
    assert answer.json() == {"x": "1", "y": "2"}
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.partition(";")[0] for cookie in cookies] == ["a=1", "b=2"]
    client.cookies.clear()


def test_the_lifespan_begins_once(client: httpx.Client) -> None:
    answers = [client.get("/fastapi/state").json() for _ in range(3)]
    assert answers == [{"pool": "open", "starts": 1}] * 3


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/fastapi/endless", "the stream was closed"),
        ("/flask/endless", "the generator was closed"),
    ],
)
def test_a_client_that_leaves_ends_the_stream(dialback: Dialback, path: str, said: str) -> None:
    parts = urlsplit(dialback.url)
    with socket.create_connection((str(parts.hostname), parts.port or 80), PATIENCE) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 200 OK")
    eventually(lambda: said in dialback.stderr)


def test_flask_tears_down_after_the_last_piece(client: httpx.Client, dialback: Dialback) -> None:
    assert client.get("/flask/missing").status_code == 404
    eventually(lambda: "teardown of /flask/missing" in dialback.stderr)


# ---------------------------------------------------------------- handlers of other libraries


@pytest.mark.parametrize("front", ["starlette", "mangum", "mangum-streaming"])
def test_starlette_and_mangum(client: httpx.Client, front: str) -> None:
    request = client.build_request("GET", f"/{front}/hello?a=1&b=%C3%A4")
    request.headers["accept-encoding"] = "gzip"
    response = client.send(request, stream=True)
    body = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    answer = json.loads(gzip.decompress(body))
    assert (answer["path"], answer["query"]) == (f"/{front}/hello", {"a": "1", "b": "ä"})


@pytest.mark.parametrize("front", [name for name in FUNCTIONS if name.startswith("/powertools")])
def test_powertools_resolvers(client: httpx.Client, front: str) -> None:
    answer = client.get(f"{front}/world")
    assert (answer.status_code, answer.text) == (201, "hello world")
    assert answer.headers["x-a"] in ("1, 2", "1,2")


# ---------------------------------------------------------------- no code


@pytest.mark.parametrize(
    ("app", "path", "text"),
    [
        ("web_fastapi:app", "/fastapi/teapot", "short and stout"),
        ("web_flask:app", "/flask/missing", "Not Found"),
        ("web_handlers:handler", "/powertools/you", "hello you"),
    ],
)
def test_a_variable_is_all_it_takes(app: str, path: str, text: str) -> None:
    run = (f"{WEB}/web_run.py:handler", "--env", f"DIALBACK_APP={app}")
    with running_dialback(*run) as dialback:
        answer = httpx.get(dialback.url + path, timeout=PATIENCE, trust_env=False)
        assert text in answer.text


def test_a_wrong_variable_is_named() -> None:
    run = (f"{WEB}/web_run.py:handler", "--env", "DIALBACK_APP=web_flask:application")
    wrong = r"DIALBACK_APP=web_flask:application: .* no attribute"
    with pytest.raises(AssertionError, match=wrong), running_dialback(*run):
        pass
