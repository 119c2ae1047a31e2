"""An ASGI application's lifespan: begun with the environment's first invocation, not with each."""

from __future__ import annotations

import asyncio
import atexit
import logging
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Application = Callable[..., Awaitable[None]]

Mode = Literal["auto", "on", "off"]

logger = logging.getLogger("dialback")


class StartupFailed(RuntimeError):
    """The application said that it cannot start; the text is its own."""


class Lifespan:
    """Runs the lifespan part of one application, on the persistent loop, beside its requests.

    Attributes:
        state: what the application keeps for its requests (ASGI, lifespan state).
    """

    def __init__(self, app: Application, mode: Mode) -> None:
        """Describe it; nothing runs yet.

        Args:
            app: the application.
            mode: ``on``: an application without lifespan is an error; ``auto``: it is not; ``off``:
                never ask.

        Raises:
            ValueError: `mode` is none of these.
        """
        if mode not in get_args(Mode):
            raise ValueError(f"lifespan={mode!r}: it is one of {', '.join(get_args(Mode))}")
        self.state: dict[str, Any] = {}
        self._app = app
        self._mode = mode
        self._started = False
        self._startup: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._inbox: asyncio.Queue[dict[str, Any]]
        self._answer: asyncio.Future[dict[str, Any]]

    async def ensure_started(self) -> None:
        """Start the application, unless it has been.

        An invocation that is cancelled meanwhile does not stop it: the next one finds it further on.

        Raises:
            StartupFailed: it refused; the next invocation tries again.
        """
        if self._started or self._mode == "off":
            return
        if self._startup is None or self._startup.done():
            self._startup = asyncio.create_task(self._start())
        await asyncio.shield(self._startup)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self.state.clear()
        self._inbox = asyncio.Queue()
        self._task = task = loop.create_task(self._run())
        answer = await self._ask("lifespan.startup", task)
        if answer is None and self._mode == "on":
            raise StartupFailed("the application does not speak lifespan")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise StartupFailed(answer.get("message") or "the application failed to start")
        self._started = True
        if answer is not None:
            atexit.register(self._shut_down, loop, task)

    async def _ask(self, question: str, task: asyncio.Task[None]) -> dict[str, Any] | None:
        """Return the application's answer; None if it ended without one."""
        self._answer = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait({"type": question})
        await asyncio.wait((task, self._answer), return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else None

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as error:
            # Before it answered, most likely: "I know no lifespan".
            unsupported = self._mode == "auto" and not self._answer.done()
            level = logging.DEBUG if unsupported else logging.ERROR
            logger.log(level, "the application's lifespan ended", exc_info=error)

    async def _send(self, message: dict[str, Any]) -> None:
        if not self._answer.done():
            self._answer.set_result(message)

    def _shut_down(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        """Let the application end in order, where the process is not simply killed."""
        if not loop.is_closed() and not task.done():
            loop.run_until_complete(self._ask("lifespan.shutdown", task))
