"""The handler that runs what a variable names."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import lambda_client.main_loop  # noqa: F401 - here, since its loop outlives the modules of a test
from lambda_client.run import AppError, load
from tests.lambda_client.gateway import context, event

if TYPE_CHECKING:
    from pathlib import Path

APPS = """
from lambda_client import streaming

async def asgi_function(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"asgi function"})

class Asgi:
    async def __call__(self, scope, receive, send):
        await asgi_function(scope, receive, send)

asgi_object = Asgi()

def wsgi_function(environ, start):
    start("200 OK", [])
    return [b"wsgi function"]

class Wsgi:
    def __call__(self, env, start_response):
        start_response("200 OK", [])
        return [b"wsgi object"]

class Namespace:
    wsgi_object = Wsgi()

def handler(event, context):
    return {"statusCode": 200, "body": "handler"}

async def async_handler(event, context):
    return {"statusCode": 200, "body": "async handler"}

@streaming
def decorated(event, context):
    yield {"statusCode": 200}
    yield "decorated"

def odd(*arguments):
    return wsgi_function(*arguments)

number = 5
"""


@pytest.fixture
def apps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on the path with a module `some_apps`, and others that cannot be imported."""
    (tmp_path / "some_apps.py").write_text(APPS)
    (tmp_path / "broken_app.py").write_text("import no_such_dependency\n")
    (tmp_path / "raising_app.py").write_text("raise AttributeError('its own')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind", "body"),
    [
        ("asgi_function", None, "asgi function"),
        ("asgi_object", None, "asgi function"),
        ("wsgi_function", None, "wsgi function"),
        ("Namespace.wsgi_object", None, "wsgi object"),
        ("handler", None, "handler"),
        ("async_handler", None, "async handler"),
        ("decorated", None, "decorated"),
        ("odd", "wsgi", "wsgi function"),
        ("asgi_object", "asgi", "asgi function"),
        ("handler", "handler", "handler"),
    ],
)
def test_every_kind_of_application(apps: Path, name: str, kind: str | None, body: str) -> None:
    answer = load(f"some_apps:{name}", kind)(event(), context())
    assert (answer["statusCode"], answer["body"]) == (200, body)


def test_a_handler_that_streams_by_itself_is_not_wrapped_again(apps: Path) -> None:
    # The inner one of two would find no envelope, and answer as a buffered function does.
    assert load("some_apps:decorated") is sys.modules["some_apps"].decorated


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("some_apps", None, "is written MODULE:NAME"),
        (":app", None, "is written MODULE:NAME"),
        ("some_apps:", None, "is written MODULE:NAME"),
        ("no_such_module:app", None, "there is no module 'no_such_module'"),
        ("some_apps.inner:app", None, "there is no module 'some_apps.inner'"),
        ("some_apps:nothing", None, "has no attribute 'nothing'"),
        ("some_apps:number", None, "it is a int, which cannot be called"),
        ("some_apps:handler", "cgi", "DIALBACK_APP_TYPE=cgi: it is one of asgi, wsgi, handler"),
    ],
)
def test_a_wrong_value_is_named(apps: Path, name: str, kind: str | None, text: str) -> None:
    with pytest.raises(AppError) as raised:
        load(name, kind)
    assert text in str(raised.value)
    assert str(raised.value).startswith(("DIALBACK_APP=", "DIALBACK_APP_TYPE="))


@pytest.mark.parametrize(
    ("name", "error"),
    [("broken_app:app", ModuleNotFoundError), ("raising_app:app", AttributeError)],
)
def test_an_application_that_fails_by_itself_shows_its_own_traceback(
    apps: Path, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        load(name)


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({}, "DIALBACK_APP is not set"),
        ({"DIALBACK_APP": "some_apps:wsgi_function"}, "wsgi function"),
        ({"DIALBACK_APP": "some_apps:nothing"}, "DIALBACK_APP=some_apps:nothing"),
    ],
)
def test_the_environment_decides(apps: Path, env: dict[str, Any], text: str) -> None:
    code = (
        "from lambda_client.run import handler\n"
        "print(handler({'requestContext': {'http': {}}}, None))"
    )
    path = os.pathsep.join([str(apps), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert text in run.stdout + run.stderr
