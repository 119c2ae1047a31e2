"""An application's lifespan: once in an environment, whatever the requests do."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from lambda_client import asgi
from lambda_client.lifespan import Lifespan, StartupFailed
from lambda_client.main_loop import main_loop
from tests.lambda_client.asgi_apps import body, sized, start, until
from tests.lambda_client.gateway import Gateway, context, event, receipt_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lambda_client.asgi_apps import App, Message, Receive, Send


class Application:
    """Counts its starts; answers with what its state holds."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuse = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope["state"], receive, send)
            return
        data = repr(scope["state"].get("number")).encode()
        scope["state"]["number"] = "changed by a request"
        await send(sized(data))
        await send(body(data))

    async def _live(self, state: dict[str, Any], receive: Receive, send: Send) -> None:
        self.log.append((await receive())["type"])
        assert state == {}
        if self.refuse:
            state["number"] = "of a start that failed"
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        state["number"] = 42
        await send({"type": "lifespan.startup.complete"})
        self.log.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})


async def without_lifespan(scope: Message, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http", "no lifespan here"
    await send(start())
    await send(body(b"answered"))


@pytest.fixture
def at_exit(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """What would run at the end of the process; it runs at the end of the test."""
    kept: list[Callable[[], None]] = []
    monkeypatch.setattr(
        "lambda_client.lifespan.atexit.register",
        lambda action, *arguments: kept.append(lambda: action(*arguments)),
    )
    yield kept
    for action in kept:
        action()


def test_it_starts_once_and_every_request_gets_a_copy_of_its_state(
    at_exit: list[Callable[[], None]],
) -> None:
    application = Application()
    handler = asgi(application)
    assert [handler(event(), context())["body"] for _ in range(3)] == ["42"] * 3
    assert application.log == ["lifespan.startup"]
    assert len(at_exit) == 1
    at_exit[0]()
    assert application.log == ["lifespan.startup", "lifespan.shutdown"]


def test_a_startup_that_failed_fails_the_invocation_and_is_tried_again(
    gateway: Gateway, at_exit: list[Callable[[], None]]
) -> None:
    application = Application()
    application.refuse = True
    handler = asgi(application)
    exchange = gateway.exchange()
    with pytest.raises(StartupFailed, match="no database"):
        handler(event(exchange), context(exchange))
    application.refuse = False
    exchange = gateway.exchange()
    assert receipt_of(handler(event(exchange), context(exchange))).tail == (0, b"42")
    assert application.log == ["lifespan.startup", "lifespan.startup"]


def test_auto_takes_an_application_without_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dialback")
    handler = asgi(without_lifespan)
    assert [handler(event(), context())["body"] for _ in range(2)] == ["answered"] * 2
    assert [record for record in caplog.records if record.module == "lifespan"] == []


def test_on_wants_one(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StartupFailed, match="does not speak lifespan"):
        asgi(without_lifespan, lifespan="on")(event(), context())
    assert "no lifespan here" in caplog.text


def test_off_never_asks() -> None:
    application = Application()
    assert asgi(application, lifespan="off")(event(), context())["body"] == "None"
    assert application.log == []


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, on, off"):
        asgi(without_lifespan, lifespan="maybe")  # type: ignore[arg-type]


def test_an_exception_once_it_lives_is_logged(
    caplog: pytest.LogCaptureFixture, at_exit: list[Callable[[], None]]
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            raise KeyError("the pool is gone")
        await without_lifespan(scope, receive, send)

    handler = asgi(app)
    assert handler(event(), context())["body"] == "answered"
    assert handler(event(), context())["body"] == "answered"
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["'the pool is gone'"]
    at_exit[0]()


def test_a_request_that_is_cancelled_during_the_start_does_not_repeat_it(
    at_exit: list[Callable[[], None]],
) -> None:
    release, starts = asyncio.Event(), 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal starts
        starts += 1
        await release.wait()
        await send({"type": "lifespan.startup.complete"})
        await receive()

    async def run() -> None:
        life = Lifespan(app, "on")
        first = asyncio.create_task(life.ensure_started())
        await until(lambda: starts)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        await life.ensure_started()
        await life.ensure_started()

    main_loop().run_until_complete(run())
    assert starts == 1
    assert len(at_exit) == 1
    at_exit[0]()


_: App = Application()
