"""One run of a worker's process, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from gateway.errors import ConfigError
from gateway.workers import channel

if TYPE_CHECKING:
    from gateway.workers.assignment import Assignment

log = logging.getLogger("dialback.workers")

ANSWER_SECONDS = 2.0
"""How long a worker may take to answer, which it does within milliseconds: one that takes longer is stuck, and
its clients wait as well. Probes of health are seldom more patient (Kubernetes: 1 s by default)."""

QUESTIONS_MAX = 16
"""That a worker owes answers to; who asks more waits. Operators ask few at a time, and a stuck worker must
neither be sent a question for every probe of hours nor have all of them to answer when it goes on."""


class NoAnswer(Exception):
    """A worker is gone, or stuck."""


class Process:
    """A worker's process. Made by `start`, on the event loop.

    Attributes:
        pid: its number in the system.
        listening: set once it serves.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._room = asyncio.Semaphore(QUESTIONS_MAX)
        self._refusal: str | None = None
        self.pid = process.pid
        self.listening = asyncio.Event()
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def start(cls, assignment: Assignment) -> Process:
        """Start it, and tell it its work.

        Raises:
            OSError: no process can be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "gateway.workers", str(assignment.worker)),
                    stdin=theirs.fileno(),
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        writer.write(assignment.pack())
        return cls(process, reader, writer)

    async def ended(self) -> int:
        """Wait until it has ended; return its exit code, negative for a signal.

        Raises:
            ConfigError: it could not work with its settings.
        """
        code = await self._process.wait()
        await self._reading
        if self._refusal is not None:
            raise ConfigError(self._refusal)
        return code

    def stop(self, *, at_once: bool = False) -> None:
        """Tell it to finish what is begun, or to break that off."""
        self._writer.write(channel.pack(channel.Stop(at_once)))

    async def kill(self) -> None:
        """End it, whatever it does, and wait until it has."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.wait([self._reading])

    async def ask(self, what: channel.What) -> Any:
        """Return what it knows.

        Raises:
            NoAnswer: it does not say.
        """
        if self._reading.done():
            raise NoAnswer
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await (
                    self._room.acquire()
                )  # given back by the answer, which may come after this time
                self._writer.write(channel.pack(channel.Question(number, what)))
                return await answer
        except TimeoutError:
            raise NoAnswer from None
        finally:
            del self._asked[number]

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            async for message in channel.messages(reader):
                match message:
                    case channel.Listening():
                        self.listening.set()
                    case channel.Refused(reason=reason):
                        self._refusal = reason
                    case channel.Answer(number=number, value=value):
                        self._room.release()
                        answer = self._asked.get(number)
                        if answer is not None and not answer.done():  # whoever asked may have gone
                            answer.set_result(value)
                    case _:
                        raise ValueError(f"a worker does not say {message!r}")
        except ValueError:
            log.exception("process %d does not speak as a worker does; it is killed", self.pid)
            self._process.kill()
        finally:
            self.listening.clear()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(NoAnswer())
            self._writer.close()


def describe_end(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"
