"""Keeps one worker running: starts it, and again whenever it ends before it was told to."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.errors import ConfigError
from gateway.serving import UNFINISHED, first
from gateway.workers.process import NoAnswer, Process, describe_end

if TYPE_CHECKING:
    from gateway.serving import Stop
    from gateway.workers import channel
    from gateway.workers.assignment import Assignment

log = logging.getLogger("dialback.workers")

PAUSE_FIRST, PAUSE_MAX = 0.1, 30.0
"""Seconds before a worker is started again: twice as long each time. What ends every worker at once, such as
a lack of memory, must not be fed; and one that died of chance should be back before anybody notices."""

STEADY = 60.0
"""Seconds that a worker must have lived for its pauses to begin anew."""


class StartFailed(Exception):
    """A worker ended before it ever served."""


class Keeper:
    """One worker's place.

    Attributes:
        number: of the worker, from 0.
        starts: how often it was started.
        first_listening: set once it serves for the first time.
    """

    def __init__(self, assignment: Assignment, stop: Stop) -> None:
        self.number = assignment.worker
        self.starts = 0
        self.first_listening = asyncio.Event()
        self._assignment = assignment
        self._stop = stop
        self._process: Process | None = None
        self._pause = PAUSE_FIRST

    @property
    def trouble(self) -> str:
        """What is wrong with it when it gives no answer."""
        return "is being started" if self._process is None else "does not answer"

    async def ask(self, what: channel.What) -> Any:
        """Return what the worker knows.

        Raises:
            NoAnswer: it does not say.
        """
        if self._process is None:
            raise NoAnswer
        return await self._process.ask(what)

    def stop(self, *, at_once: bool) -> None:
        """Tell the worker to finish, or to break off; it will not be started again."""
        if self._process is not None:
            self._process.stop(at_once=at_once)

    async def keep(self) -> int:
        """Keep the worker running until the order to stop; return its last exit code.

        Raises:
            StartFailed: it ended before it ever served.
            ConfigError: the same, and it says why.
        """
        while True:
            begun = monotonic()
            try:
                code, what = await self._run()
            except Exception:
                if not self.first_listening.is_set():
                    raise
                # A bug of ours, or what nobody thought of: the streams of the other workers go on.
                log.exception("worker %d: its keeper failed", self.number)
                code, what = UNFINISHED, "was ended"
            if self._stop.begun.is_set():
                return code
            if not self.first_listening.is_set():
                raise StartFailed(f"worker {self.number} {what}: it never served")
            if monotonic() - begun > STEADY:
                self._pause = PAUSE_FIRST
            log.warning("worker %d %s; starting it again in %g s", self.number, what, self._pause)
            await first(asyncio.sleep(self._pause), self._stop.begun.wait())
            if self._stop.begun.is_set():
                return code
            self._pause = min(2 * self._pause, PAUSE_MAX)

    async def _run(self) -> tuple[int, str]:
        """Run one process to its end; return its exit code, and what became of it."""
        self.starts += 1
        try:
            process = await Process.start(self._assignment)
        except OSError as error:
            return UNFINISHED, f"cannot be started ({error})"
        self._process = process
        if self._stop.begun.is_set():  # while it was being started
            process.stop(at_once=self._stop.at_once.is_set())
        watching = asyncio.create_task(self._watch(process))
        try:
            code = await process.ended()
        except ConfigError as error:
            if not self.first_listening.is_set():
                raise
            return UNFINISHED, f"cannot serve any more ({error})"
        finally:
            watching.cancel()
            self._process = None
            await process.kill()
        return code, f"(process {process.pid}) {describe_end(code)}"

    async def _watch(self, process: Process) -> None:
        await process.listening.wait()
        if self.first_listening.is_set():
            log.info("worker %d (process %d) serves again", self.number, process.pid)
        self.first_listening.set()
